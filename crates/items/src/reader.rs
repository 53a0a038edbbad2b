mod files;
mod text_file;

use std::sync::Arc;

use crate::config::{Dataset, InputType, ManifestType, ReaderConfig, Transformation};
use crate::parquet::ParquetFile;
use crate::position::{Position, Record, Within};
use crate::{Error, ObjectRef, Objects, object_item};
use files::{Files, Next};
use text_file::TextFile;

/// What a reader takes at most; AWS's quotas unless the operator lifts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of an item, in UTF-8 bytes of its JSON text.
    pub item_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { item_bytes_max: 256 * 1024 }
    }
}

/// One item of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `$$.Map.Item.Index`.
    pub index: u64,
    /// `$$.Map.Item.Value` as JSON text without insignificant white space.
    pub json: String,
    /// `$$.Map.Item.Source`: the S3 URI of the object that it came from, of the bucket for a listing.
    pub source: Arc<str>,
}

/// Reads a data set item by item.
pub struct Reader {
    objects: Arc<dyn Objects>,
    config: ReaderConfig,
    limits: Limits,
    files: Files,
    current: Option<Current>,
    source: Arc<str>,
    /// Where to begin in the file that is opened next.
    within: Option<Within>,
    index: u64,
    ended: bool,
}

/// The file that is being read.
enum Current {
    Text(Box<TextFile>),
    Parquet(Box<ParquetFile>),
}

impl Reader {
    /// A reader from the first item on. Nothing is read before [`Reader::next`].
    pub fn new(
        objects: Arc<dyn Objects>,
        dataset: Dataset,
        config: ReaderConfig,
        limits: Limits,
    ) -> Result<Reader, Error> {
        Reader::resume(objects, dataset, config, limits, &Position::default())
    }

    /// A reader that goes on where another one of the same data set and configuration was.
    pub fn resume(
        objects: Arc<dyn Objects>,
        dataset: Dataset,
        mut config: ReaderConfig,
        limits: Limits,
        position: &Position,
    ) -> Result<Reader, Error> {
        let Record { index, file, within, ended } = position.record.clone();
        let (input_type, manifest) = kinds(&dataset, &config)?;
        config.input_type = input_type;
        let (files, source) = match dataset {
            Dataset::Object(object) => {
                let source = uri(&object);
                let files = match manifest {
                    None => Files::one(object),
                    Some(ManifestType::S3Inventory) => Files::inventory(object, file)?,
                    Some(ManifestType::AthenaData) => Files::athena(object, file)?,
                };
                (files, source)
            }
            Dataset::Listing(listing) => {
                let source = format!("s3://{}", listing.bucket);
                (Files::listing(listing, file)?, source)
            }
        };
        Ok(Reader { objects, config, limits, files, current: None, source: source.into(), within, index, ended })
    }

    /// The next item; `None` at the end of the data set or after `MaxItems`. After an error there is no more.
    pub async fn next(&mut self) -> Result<Option<Item>, Error> {
        if self.ended || self.index >= self.config.limit() {
            return Ok(None);
        }
        let found = self.find().await;
        match found {
            Ok(Some(json)) => {
                let item = Item { index: self.index, json, source: self.source.clone() };
                self.index += 1;
                Ok(Some(item))
            }
            Ok(None) => {
                self.ended = true;
                self.current = None;
                Ok(None)
            }
            Err(error) => {
                self.ended = true;
                self.current = None;
                Err(error)
            }
        }
    }

    /// Passes over items; gives how many there were, at most `items`.
    pub async fn skip(&mut self, items: u64) -> Result<u64, Error> {
        for passed in 0..items {
            if self.next().await?.is_none() {
                return Ok(passed);
            }
        }
        Ok(items)
    }

    /// Where the reader is: behind the item that [`Reader::next`] gave last.
    pub fn position(&self) -> Position {
        let within = match &self.current {
            Some(Current::Text(file)) => file.within(),
            Some(Current::Parquet(file)) => file.within(),
            None => self.within.clone(),
        };
        Position { record: Record { index: self.index, file: self.files.at(), within, ended: self.ended } }
    }

    async fn find(&mut self) -> Result<Option<String>, Error> {
        loop {
            let item = match &mut self.current {
                Some(Current::Text(file)) => file.next().await?,
                Some(Current::Parquet(file)) => file.next().await?,
                None => None,
            };
            if item.is_some() {
                return Ok(item);
            }
            if self.current.take().is_some() {
                self.files.pass();
            }
            let flatten = self.config.transformation == Transformation::LoadAndFlatten;
            match self.files.next(&*self.objects, flatten).await? {
                None => return Ok(None),
                Some(Next::Item(listed)) => return Ok(Some(object_item(&listed))),
                Some(Next::File(object)) => {
                    self.source = uri(&object).into();
                    self.current = Some(self.open(object).await?);
                }
            }
        }
    }

    async fn open(&mut self, object: ObjectRef) -> Result<Current, Error> {
        let within = self.within.take();
        let headers = self.files.headers();
        let input_type = match (&headers, self.config.input_type) {
            (Some(_), _) => InputType::Csv,
            (None, Some(input_type)) => input_type,
            (None, None) => return Err(no_input_type()),
        };
        if input_type == InputType::Parquet {
            let file = ParquetFile::open(self.objects.clone(), object, within, self.limits.item_bytes_max).await?;
            return Ok(Current::Parquet(Box::new(file)));
        }
        let mut config = self.config.clone();
        if let Some(headers) = headers {
            config.csv_headers = headers;
        }
        let decoder = crate::decode::Decoder::new(input_type, &config, self.limits.item_bytes_max)?;
        let file = TextFile::open(&*self.objects, &object, decoder, within).await?;
        Ok(Current::Text(Box::new(file)))
    }
}

/// What the files are, and whose manifest lists them, if one does.
fn kinds(dataset: &Dataset, config: &ReaderConfig) -> Result<(Option<InputType>, Option<ManifestType>), Error> {
    if let Dataset::Listing(_) = dataset {
        let kind = match (config.transformation, config.input_type) {
            (Transformation::None, _) => None,
            (Transformation::LoadAndFlatten, Some(InputType::Manifest)) => {
                return Err(Error::Reader("The InputType MANIFEST cannot be used with LOAD_AND_FLATTEN.".to_owned()));
            }
            (Transformation::LoadAndFlatten, None) => return Err(no_input_type()),
            (Transformation::LoadAndFlatten, kind) => kind,
        };
        return Ok((kind, None));
    }
    match (config.manifest_type, config.input_type) {
        (None, Some(InputType::Manifest))
        | (Some(ManifestType::S3Inventory), None | Some(InputType::Manifest | InputType::Csv)) => {
            Ok((Some(InputType::Csv), Some(ManifestType::S3Inventory)))
        }
        (Some(ManifestType::S3Inventory), Some(_)) => {
            Err(Error::Reader("The files of an S3 inventory report are CSV; InputType says something else.".to_owned()))
        }
        (Some(ManifestType::AthenaData), Some(kind @ (InputType::Csv | InputType::JsonLines | InputType::Parquet))) => {
            Ok((Some(kind), Some(ManifestType::AthenaData)))
        }
        (Some(ManifestType::AthenaData), _) => {
            Err(Error::Reader("The ManifestType ATHENA_DATA needs the InputType CSV, JSONL or PARQUET.".to_owned()))
        }
        // AWS reads an object as JSON if nothing is said.
        (None, kind) => Ok((Some(kind.unwrap_or(InputType::Json)), None)),
    }
}

fn uri(object: &ObjectRef) -> String {
    format!("s3://{}/{}", object.bucket, object.key)
}

fn no_input_type() -> Error {
    Error::Reader("The ReaderConfig has no InputType.".to_owned())
}
