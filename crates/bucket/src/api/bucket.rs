//! Buckets and their settings.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use service::{Call, Fault};

use crate::Buckets;
use crate::bucket_record::{Bucket, Versioning};
use crate::fault::{self, Error, invalid_argument};
use crate::list;
use crate::machine::{Command, NewBucket};
use crate::name::check_new_bucket;
use crate::settings::Setting;
use crate::view;

const LIST_BUCKETS_MAX: usize = 10_000;
/// The region that has no location constraint.
const FIRST_REGION: &str = "us-east-1";

/// One bucket of a listing.
pub(crate) struct BucketEntry {
    pub(crate) name: String,
    pub(crate) bucket: Bucket,
}

impl Buckets {
    /// `again`: whether a bucket that is the caller's already is created "again", as S3 does in us-east-1.
    pub(crate) async fn create_bucket(
        &self,
        call: &Call,
        name: &str,
        location: Option<&str>,
        ownership: Option<&str>,
        again: bool,
    ) -> Result<(), Fault> {
        check_new_bucket(name)?;
        let region = region_of(call.scope.region(), location.filter(|l| !l.is_empty()))?;
        let ownership = match ownership {
            Some(kind) => Some(Setting::OwnershipControls.check(&json!({"Rules": [{"ObjectOwnership": kind}]}))?),
            None => None,
        };
        let again = again && region == FIRST_REGION;
        self.send(call, name, Command::CreateBucket(NewBucket { region, again, ownership })).await?;
        Ok(())
    }

    pub(crate) async fn delete_bucket(&self, call: &Call, name: &str) -> Result<(), Fault> {
        self.check_bucket(call, name)?;
        self.send(call, name, Command::DeleteBucket).await?;
        Ok(())
    }

    /// The caller's buckets in the order of their names, and behind which to go on.
    pub(crate) async fn list_buckets(
        &self,
        call: &Call,
        prefix: &str,
        region: Option<String>,
        token: Option<&str>,
        max: Option<i64>,
    ) -> Result<(Vec<BucketEntry>, Option<String>), Fault> {
        let max = match max {
            None => LIST_BUCKETS_MAX,
            Some(n) => usize::try_from(n).ok().filter(|n| (1..=LIST_BUCKETS_MAX).contains(n)).ok_or_else(|| {
                invalid_argument(
                    "Argument max-buckets must be an integer between 1 and 10000",
                    "max-buckets",
                    n.to_string(),
                )
            })?,
        };
        let after = match token.map(list::After::of_token).transpose()? {
            Some(list::After::Key(name)) => Some(name),
            _ => None,
        };
        let (prefix, account) = (prefix.to_owned(), call.scope.account().to_owned());
        self.read(move |store| {
            let (mut found, mut more) = (Vec::<BucketEntry>::new(), false);
            list::buckets(store, &prefix, after.as_deref(), |name, record| {
                let bucket = Bucket::decode(record)?;
                if bucket.account != account || region.as_ref().is_some_and(|r| *r != bucket.region) {
                    return Ok(ControlFlow::Continue(()));
                }
                if found.len() == max {
                    more = true;
                    return Ok(ControlFlow::Break(()));
                }
                found.push(BucketEntry { name, bucket });
                Ok(ControlFlow::Continue(()))
            })
            .map_err(Error::from)?;
            let next = found.last().filter(|_| more).map(|last| list::After::Key(last.name.clone()).token());
            Ok((found, next))
        })
        .await
    }

    pub(crate) async fn put_setting(
        &self,
        call: &Call,
        bucket: &str,
        setting: Setting,
        value: &Value,
    ) -> Result<(), Fault> {
        self.check_bucket(call, bucket)?;
        let mut value = setting.check(value)?;
        self.name_entries(setting, &mut value);
        self.send(call, bucket, Command::PutSetting(setting, Some(value))).await?;
        Ok(())
    }

    /// Rules and configurations without an id get one.
    fn name_entries(&self, setting: Setting, value: &mut Value) {
        let id = match setting {
            Setting::Notification => "Id",
            Setting::Lifecycle => "ID",
            _ => return,
        };
        let lists = value.as_object_mut().into_iter().flat_map(|lists| lists.values_mut());
        for entry in lists.filter_map(Value::as_array_mut).flatten() {
            if entry.get(id).is_none() {
                entry[id] = self.inner.entropy.uuid().into();
            }
        }
    }

    pub(crate) async fn delete_setting(&self, call: &Call, bucket: &str, setting: Setting) -> Result<(), Fault> {
        self.check_bucket(call, bucket)?;
        self.send(call, bucket, Command::PutSetting(setting, None)).await?;
        Ok(())
    }

    pub(crate) fn setting(&self, call: &Call, bucket: &str, setting: Setting) -> Result<Value, Fault> {
        self.bucket(call, bucket)?;
        let found = view::setting(self.store(), bucket, setting).map_err(Error::from)?;
        found.ok_or_else(|| setting.missing(bucket))
    }

    pub(crate) async fn put_versioning(&self, call: &Call, bucket: &str, status: Option<&str>) -> Result<(), Fault> {
        self.check_bucket(call, bucket)?;
        let versioning = match status {
            Some("Enabled") => Versioning::Enabled,
            Some("Suspended") => Versioning::Suspended,
            _ => {
                let message = "The Versioning element must be specified";
                return Err(Fault::client("IllegalVersioningConfigurationException", message));
            }
        };
        self.send(call, bucket, Command::PutVersioning(versioning)).await?;
        Ok(())
    }

    /// Whether ACLs are switched off, as they are unless somebody asked for them.
    pub(crate) fn check_acl(&self, call: &Call, bucket: &str, is_plain: bool) -> Result<(), Fault> {
        if is_plain {
            return Ok(());
        }
        let controls = self.setting(call, bucket, Setting::OwnershipControls).unwrap_or_default();
        if controls["Rules"][0]["ObjectOwnership"] == "BucketOwnerEnforced" {
            return Err(Fault::client("AccessControlListNotSupported", "The bucket does not allow ACLs"));
        }
        Err(fault::not_implemented("ACLs that grant anything to others than the owner; use a bucket policy"))
    }
}

fn region_of(endpoint: &str, location: Option<&str>) -> Result<String, Fault> {
    match location {
        None if endpoint == FIRST_REGION => Ok(FIRST_REGION.to_owned()),
        None => {
            let message = "The unspecified location constraint is incompatible for the region specific endpoint this \
                           request was sent to.";
            Err(Fault::client("IllegalLocationConstraintException", message))
        }
        Some("EU") if matches!(endpoint, FIRST_REGION | "eu-west-1") => Ok("eu-west-1".to_owned()),
        Some(FIRST_REGION) => {
            Err(Fault::client("InvalidLocationConstraint", "The specified location-constraint is not valid")
                .member("LocationConstraint", FIRST_REGION))
        }
        // The endpoint of the first region makes buckets anywhere.
        Some(region) if endpoint == FIRST_REGION || region == endpoint => {
            let is_plain = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if is_plain && region.len() <= 32 && region.contains('-') {
                return Ok(region.to_owned());
            }
            let fault = Fault::client("InvalidLocationConstraint", "The specified location-constraint is not valid");
            Err(fault.member("LocationConstraint", region))
        }
        Some(region) => {
            let message = format!(
                "The {region} location constraint is incompatible for the region specific endpoint this request was \
                 sent to."
            );
            Err(Fault::client("IllegalLocationConstraintException", message))
        }
    }
}
