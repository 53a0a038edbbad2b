use serde::Deserialize;

use crate::Error;

/// Size of an inventory's `manifest.json`.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The manifest of an S3 Inventory report.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Where the files are; `None` if the manifest does not say.
    pub(crate) bucket: Option<String>,
    /// The columns of the files, which have no header.
    pub(crate) headers: Vec<String>,
    pub(crate) keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    destination_bucket: Option<String>,
    file_format: Option<String>,
    file_schema: Option<String>,
    files: Vec<ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    key: String,
}

impl Inventory {
    pub(crate) fn parse(text: &[u8]) -> Result<Inventory, Error> {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let manifest: Manifest = serde_json::from_slice(text)
            .map_err(|error| Error::Reader(format!("The S3 inventory manifest is malformed: {error}.")))?;
        let format = manifest.file_format.unwrap_or_else(|| "CSV".to_owned());
        if !format.eq_ignore_ascii_case("CSV") {
            return Err(Error::Reader(format!(
                "The S3 inventory report has the format '{format}'; only CSV is supported."
            )));
        }
        let headers: Vec<String> = manifest
            .file_schema
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if headers.is_empty() {
            return Err(Error::Reader("The S3 inventory manifest has no fileSchema.".to_owned()));
        }
        let bucket = manifest.destination_bucket.map(|arn| match arn.rsplit_once(":::") {
            Some((_, name)) => name.to_owned(),
            None => arn,
        });
        Ok(Inventory { bucket, headers, keys: manifest.files.into_iter().map(|file| file.key).collect() })
    }
}
