use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use service::{Call, Fault};

use crate::Functions;
use crate::fault::{invalid_parameter, refused_archive};
use crate::package::{Package, PackageId};

/// Where a package comes from: the `Code` of functions and the `Content` of layers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CodeInput {
    zip_file: Option<String>,
    s3_bucket: Option<String>,
    s3_key: Option<String>,
    s3_object_version: Option<String>,
    image_uri: Option<String>,
    /// Ours: a package that [`Functions::import_directory`] has stored.
    package_sha256: Option<String>,
}

impl CodeInput {
    /// Fetches, checks and stores the package.
    pub async fn store(&self, functions: &Functions, call: &Call) -> Result<Package, Fault> {
        if self.image_uri.is_some() {
            return Err(invalid_parameter(
                "Stepwell runs functions from ZIP packages; container images are not supported",
            ));
        }
        if let Some(hex) = &self.package_sha256 {
            let missing = || invalid_parameter("PackageSha256 names no stored package");
            let id = PackageId::from_hex(hex).ok_or_else(missing)?;
            return functions.packages.find(id).await.map_err(|e| refused_archive(&e))?.ok_or_else(missing);
        }
        let content = match (&self.zip_file, &self.s3_bucket, &self.s3_key) {
            (Some(text), None, None) => {
                let content = decode(text)?;
                let bytes_max = functions.options.zipped_bytes_max;
                if content.len() > bytes_max {
                    return Err(Fault::with_status(
                        413,
                        "RequestEntityTooLargeException",
                        format!("Request must be smaller than {bytes_max} bytes for the package"),
                    ));
                }
                content
            }
            (None, Some(bucket), Some(key)) => {
                let version = self.s3_object_version.as_deref();
                functions.sources.fetch(&call.scope, bucket, key, version).await.map_err(|f| not_fetched(&f))?
            }
            (None, None, None) => return Err(invalid_parameter("Please provide a source for function code.")),
            _ => {
                return Err(invalid_parameter(
                    "Please do not provide other FunctionCode parameters when providing a ZipFile.",
                ));
            }
        };
        if content.is_empty() {
            return Err(invalid_parameter("Uploaded file must be a non-empty zip"));
        }
        functions.packages.store(content).await.map_err(|e| refused_archive(&e))
    }
}

fn decode(text: &str) -> Result<Bytes, Fault> {
    STANDARD.decode(text).map(Bytes::from).map_err(|e| Fault::client("SerializationException", format!("ZipFile: {e}")))
}

fn not_fetched(fault: &Fault) -> Fault {
    if !fault.is_sender() {
        return fault.clone();
    }
    invalid_parameter(format!(
        "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}",
        fault.code, fault.message
    ))
}
