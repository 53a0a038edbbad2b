//! Commands on buckets and their settings.

use cell::Turn;
use serde_json::Value;
use service::Fault;
use store::{KeyReader, Range};

use super::{Answer, NewBucket, Owner, PAGE};
use crate::bucket_record::{Bucket, Versioning};
use crate::fault::{Error, invalid_request};
use crate::keys;
use crate::settings::{self, Setting};
use crate::view::lifecycle_of;

/// Unfinished uploads that one DeleteBucket aborts; a bucket with more of them is not deleted.
const ABORTED_UPLOADS_MAX: usize = 1000;

impl Owner {
    pub(super) fn create_bucket(
        &mut self,
        turn: &mut Turn<'_>,
        name: &str,
        account: &str,
        new: &NewBucket,
    ) -> Result<Answer, Error> {
        if let Some(record) = turn.get(&keys::bucket(name))? {
            let existing = Bucket::decode(&record)?;
            if existing.account != account {
                let message = "The requested bucket name is not available. The bucket namespace is shared by all \
                               users of the system. Please select a different name and try again.";
                let fault = Fault::with_status(409, "BucketAlreadyExists", message);
                return Err(fault.member("BucketName", name).into());
            }
            if new.again {
                return Ok(Answer::Done);
            }
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            let fault = Fault::with_status(409, "BucketAlreadyOwnedByYou", message);
            return Err(fault.member("BucketName", name).into());
        }
        let bucket = Bucket {
            account: account.to_owned(),
            region: new.region.clone(),
            created: turn.now(),
            versioning: Versioning::Off,
        };
        turn.put(keys::bucket(name), bucket.encode());
        if let Some(ownership) = &new.ownership {
            turn.put(keys::setting(name, Setting::OwnershipControls as u8), settings::encode(ownership));
        }
        Ok(Answer::Done)
    }

    pub(super) fn delete_bucket(&mut self, turn: &mut Turn<'_>, name: &str) -> Result<Answer, Error> {
        if let Some((_, record)) = turn.scan(&Range::prefix(&keys::objects(name)).limit(1))?.first() {
            let object = crate::record::Object::decode(record)?;
            let mut message = "The bucket you tried to delete is not empty".to_owned();
            if object.body.is_none() || object.nonce.is_some() {
                message.push_str(". You must delete all versions in the bucket.");
            }
            let fault = Fault::with_status(409, "BucketNotEmpty", message);
            return Err(fault.member("BucketName", name).into());
        }
        let prefix = keys::uploads(name);
        let uploads = turn.scan(&Range::prefix(&prefix).limit(ABORTED_UPLOADS_MAX + 1))?;
        if uploads.len() > ABORTED_UPLOADS_MAX {
            let message = "The bucket has too many unfinished multipart uploads to be deleted; abort them first";
            return Err(Fault::with_status(409, "BucketNotEmpty", message).member("BucketName", name).into());
        }
        for (key, _) in uploads {
            let mut reader = KeyReader::new(&key[prefix.len()..]);
            let (object, upload_id) =
                (reader.str().map_err(store::Error::from)?, reader.str().map_err(store::Error::from)?);
            self.drop_upload(turn, name, &object, &upload_id)?;
        }
        for prefix in [keys::bucket_settings(name), self.completed_of(name)] {
            delete_all(turn, &prefix)?;
        }
        turn.delete(keys::bucket(name));
        self.lifecycles.remove(name);
        Ok(Answer::Done)
    }

    pub(super) fn put_setting(
        &mut self,
        turn: &mut Turn<'_>,
        bucket: &str,
        setting: Setting,
        value: Option<Value>,
    ) -> Result<Answer, Error> {
        if setting == Setting::Lifecycle {
            match &value {
                Some(json) => drop(self.lifecycles.insert(bucket.to_owned(), lifecycle_of(json)?)),
                None => drop(self.lifecycles.remove(bucket)),
            }
            self.sweep.restart();
        }
        let key = keys::setting(bucket, setting as u8);
        match value.or_else(|| setting.deleted()) {
            Some(value) => turn.put(key, settings::encode(&value)),
            None => turn.delete(key),
        }
        Ok(Answer::Done)
    }

    fn completed_of(&self, bucket: &str) -> Vec<u8> {
        // The part of the key behind the bucket is cut off again.
        let mut key = keys::completed(self.index, bucket, "");
        key.truncate(key.len() - 2);
        key
    }
}

fn delete_all(turn: &mut Turn<'_>, prefix: &[u8]) -> Result<(), store::Error> {
    let range = Range::prefix(prefix).limit(PAGE);
    loop {
        let entries = turn.scan(&range)?;
        for (key, _) in &entries {
            turn.delete(key.clone());
        }
        if entries.len() < PAGE {
            return Ok(());
        }
    }
}

pub(super) fn put_versioning(
    turn: &mut Turn<'_>,
    name: &str,
    mut bucket: Bucket,
    versioning: Versioning,
) -> Result<Answer, Error> {
    if versioning == Versioning::Off {
        return Err(invalid_request("versioning cannot be taken away, only suspended").into());
    }
    bucket.versioning = versioning;
    turn.put(keys::bucket(name), bucket.encode());
    Ok(Answer::Done)
}
