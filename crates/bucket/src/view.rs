//! Looking records up, in the store or as a turn of a cell sees it.

use bytes::Bytes;
use cell::Turn;
use serde_json::Value;
use store::{Entry, KeyReader, Range, Store};

use crate::bucket_record::{Bucket, Part, Upload};
use crate::fault::{self, Error};
use crate::keys;
use crate::lifecycle::Lifecycle;
use crate::record::{Object, VersionId};
use crate::settings::{self, Setting};

/// Where records are read.
pub(crate) trait View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, store::Error>;
    fn scan(&self, range: &Range) -> Result<Vec<Entry>, store::Error>;
}

impl View for dyn Store {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, store::Error> {
        Store::get(self, key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, store::Error> {
        Store::scan(self, range)
    }
}

impl View for Turn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, store::Error> {
        Turn::get(self, key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, store::Error> {
        Turn::scan(self, range)
    }
}

/// The bucket, if it is the account's.
pub(crate) fn bucket<V: View + ?Sized>(view: &V, name: &str, account: &str) -> Result<Bucket, Error> {
    let record = view.get(&keys::bucket(name))?.ok_or_else(|| fault::no_such_bucket(name))?;
    let bucket = Bucket::decode(&record)?;
    if bucket.account == account { Ok(bucket) } else { Err(fault::access_denied().into()) }
}

/// What was configured; `None` if nothing was, `Null` if it was taken away.
pub(crate) fn stored_setting<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    setting: Setting,
) -> Result<Option<Value>, store::Error> {
    view.get(&keys::setting(bucket, setting as u8))?.map(|record| settings::decode(&record)).transpose()
}

/// What is configured, defaults included.
pub(crate) fn setting<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    setting: Setting,
) -> Result<Option<Value>, store::Error> {
    let stored = stored_setting(view, bucket, setting)?;
    Ok(stored.or_else(|| setting.default()).filter(|v| !v.is_null()))
}

/// The bucket's lifecycle rules.
pub(crate) fn lifecycle<V: View + ?Sized>(view: &V, bucket: &str) -> Result<Option<Lifecycle>, store::Error> {
    let stored = stored_setting(view, bucket, Setting::Lifecycle)?;
    stored.map(|json| lifecycle_of(&json)).transpose()
}

pub(crate) fn lifecycle_of(json: &Value) -> Result<Lifecycle, store::Error> {
    Lifecycle::read(json).map_err(|f| store::Error::Corrupt(format!("lifecycle configuration: {f}")))
}

/// The latest version of a key, delete markers included.
pub(crate) fn latest<V: View + ?Sized>(view: &V, bucket: &str, key: &str) -> Result<Option<Object>, store::Error> {
    view.get(&keys::object(bucket, key))?.map(|record| Object::decode(&record)).transpose()
}

/// One version of a key, and whether it is the latest.
pub(crate) fn version<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    key: &str,
    wanted: VersionId,
) -> Result<Option<(Object, bool)>, store::Error> {
    if let Some(latest) = latest(view, bucket, key)?
        && latest.version_id() == wanted
    {
        return Ok(Some((latest, true)));
    }
    let seq = match wanted {
        VersionId::Id { seq, .. } => seq,
        VersionId::Null => match view.get(&keys::null_version(bucket, key))? {
            Some(record) => read_null_version(&record)?,
            None => return Ok(None),
        },
    };
    let record = view.get(&keys::version(bucket, key, seq))?;
    let object = record.map(|r| Object::decode(&r)).transpose()?;
    Ok(object.filter(|o| o.version_id() == wanted).map(|o| (o, false)))
}

const NULL_VERSION_VERSION: u8 = 1;

pub(crate) fn null_version_record(seq: u64) -> Bytes {
    let mut writer = crate::codec::Writer::new(NULL_VERSION_VERSION);
    writer.u64(seq);
    writer.finish()
}

pub(crate) fn read_null_version(record: &[u8]) -> Result<u64, store::Error> {
    crate::codec::Reader::open("null version", record, NULL_VERSION_VERSION)?.u64()
}

pub(crate) fn upload<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    key: &str,
    upload_id: &str,
) -> Result<Option<Upload>, store::Error> {
    if upload_id.len() > 64 {
        return Ok(None);
    }
    view.get(&keys::upload(bucket, key, upload_id))?.map(|record| Upload::decode(&record)).transpose()
}

/// Parts of an upload behind `after`, in the order of their numbers.
pub(crate) fn parts<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    upload_id: &str,
    after: u32,
    limit: usize,
) -> Result<Vec<(u32, Part)>, store::Error> {
    let prefix = keys::parts(bucket, upload_id);
    let range = Range::between(keys::part(bucket, upload_id, after.saturating_add(1)), store::successor(&prefix));
    let entries = view.scan(&range.limit(limit))?;
    let part = |(key, record): &Entry| {
        let number = KeyReader::new(&key[prefix.len()..]).u64()?;
        Ok((u32::try_from(number).unwrap_or(u32::MAX), Part::decode(record)?))
    };
    entries.iter().map(part).collect()
}
