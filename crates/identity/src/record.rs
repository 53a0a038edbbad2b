use serde::Serialize;
use serde::de::DeserializeOwned;
use store::Error;

/// Format 1: JSON. Members may be added if they have a default.
const VERSION: u8 = 1;

/// A record's stored form: its format version, then its JSON.
pub(crate) fn write(record: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![VERSION];
    // Records are structs of texts, numbers and maps with text keys: they always have a JSON form.
    serde_json::to_writer(&mut bytes, record).map_err(|e| Error::Corrupt(format!("write record: {e}")))?;
    Ok(bytes)
}

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match bytes.split_first() {
        Some((&VERSION, json)) => {
            serde_json::from_slice(json).map_err(|e| Error::Corrupt(format!("identity record: {}", e.classify_text())))
        }
        Some((version, _)) => Err(Error::Corrupt(format!("identity record of unknown format {version}"))),
        None => Err(Error::Corrupt("empty identity record".to_owned())),
    }
}

/// What is wrong with a record, without quoting it: it may hold a secret.
trait ClassifyText {
    fn classify_text(&self) -> String;
}

impl ClassifyText for serde_json::Error {
    fn classify_text(&self) -> String {
        format!("{:?} error at column {}", self.classify(), self.column())
    }
}
