use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Arn, Scope};
use service::Fault;

use super::{Activity, Catalog};
use crate::record::{ActivityRecord, Record};
use crate::{fault, keys};

impl Catalog {
    /// Creates an activity, or returns the one of that name.
    pub async fn create_activity(&self, scope: Scope, record: ActivityRecord) -> Result<Arc<Activity>, Fault> {
        self.change(move |owner, turn| {
            let arn = scope.arn("states", format_args!("activity:{}", record.name));
            if let Some(old) = turn.get(keys::activity(&scope, &record.name).as_bytes())? {
                let old = ActivityRecord::decode(&old)?;
                if old.encryption_json != record.encryption_json {
                    let message = format!("Activity already exists with a different encryption configuration: '{arn}'");
                    return Ok(Err(Fault::client("ActivityAlreadyExists", message)));
                }
                return Ok(Ok(Arc::new(Activity { arn, record: old })));
            }
            if owner.has_all_activities(&scope) {
                let message = "The maximum number of activities has been reached. Existing activities must be deleted before a new activity can be created.";
                return Ok(Err(Fault::client("ActivityLimitExceeded", message)));
            }
            turn.put(keys::activity(&scope, &record.name), record.encode());
            let activity = Arc::new(Activity { arn, record });
            owner.show_activity(&activity, turn);
            Ok(Ok(activity))
        })
        .await
    }

    /// Changes the tags of an activity.
    pub async fn tag_activity(
        &self,
        arn: Arn,
        name: String,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            let key = keys::activity(&arn.scope(), &name);
            let Some(value) = turn.get(key.as_bytes())? else {
                return Ok(Err(fault::resource_not_found(arn.as_str())));
            };
            let mut record = ActivityRecord::decode(&value)?;
            let mut tags = record.tags.into_iter().collect();
            if let Err(fault) = change(&mut tags) {
                return Ok(Err(fault));
            }
            record.tags = tags.into_iter().collect();
            turn.put(key, record.encode());
            owner.show_activity(&Arc::new(Activity { arn, record }), turn);
            Ok(Ok(()))
        })
        .await
    }

    /// Deletes an activity; one that is not there is no error, as on AWS.
    pub async fn delete_activity(&self, arn: Arn, name: String) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            turn.delete(keys::activity(&arn.scope(), &name));
            owner.hide_activity(arn, turn);
            Ok(Ok(()))
        })
        .await
    }
}
