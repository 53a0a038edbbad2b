/// Why a Map state's data set cannot be read, batched or exported; [`Error::name`] is AWS's error name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The data set is missing, malformed or of a kind that AWS does not read.
    #[error("{0}")]
    Reader(String),
    /// An item does not fit into the input of a child execution.
    #[error("{0}")]
    TooLarge(String),
    /// A field that is computed when the state runs has a value it cannot have.
    #[error("{0}")]
    Field(String),
    /// The results cannot be put into files.
    #[error("{0}")]
    Writer(String),
}

impl Error {
    /// The error name that the Map Run and its Map state fail with.
    pub fn name(&self) -> &'static str {
        match self {
            Error::Reader(_) => "States.ItemReaderFailed",
            Error::TooLarge(_) => "States.DataLimitExceeded",
            Error::Field(_) => "States.Runtime",
            Error::Writer(_) => "States.ResultWriterFailed",
        }
    }

    /// The cause that goes with the name.
    pub fn cause(&self) -> String {
        self.to_string()
    }

    /// AWS's cause where the data set is no array.
    pub(crate) fn not_iterable() -> Error {
        Error::Reader("Attempting to map over non-iterable node.".to_owned())
    }

    pub(crate) fn malformed_json(what: &str) -> Error {
        Error::Reader(format!("The JSON data set is malformed: {what}."))
    }

    pub(crate) fn item_too_large(bytes_max: usize) -> Error {
        Error::TooLarge(format!(
            "The data set has an item with a size exceeding the maximum number of bytes service limit: {bytes_max}."
        ))
    }
}
