use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use service::Fault;

/// Most tags a resource may have.
pub(crate) const TAGS_MAX: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

pub(crate) type Tags = BTreeMap<String, String>;

/// Adds `new` to `tags`; `too_many` is the service's name for more than [`TAGS_MAX`].
pub(crate) fn add(tags: &mut Tags, new: Vec<Tag>, too_many: impl FnOnce() -> Fault) -> Result<(), Fault> {
    for (i, tag) in new.into_iter().enumerate() {
        crate::check::length(&tag.key, &format!("tags.{}.member.key", i + 1), 1, 128)?;
        crate::check::length(&tag.value, &format!("tags.{}.member.value", i + 1), 0, 256)?;
        tags.insert(tag.key, tag.value);
    }
    if tags.len() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(())
}

/// As answers carry them.
pub(crate) fn list(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}
