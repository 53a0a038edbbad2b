//! Lifecycle rules: what is refused, which objects they name, and when what happens to them.

use std::collections::BTreeSet;

use base::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use service::Fault;

use crate::fault::{self, invalid_argument, invalid_request};
use crate::record::{Body, Tags};

const RULES_MAX: usize = 1000;
const ID_CHARS_MAX: usize = 255;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Smaller objects are not moved to another storage class, unless a filter says otherwise.
const TRANSITION_BYTES_MIN: u64 = 128 * 1024;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    rules: Vec<Rule>,
    transition_default_minimum_object_size: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    #[serde(rename = "ID")]
    id: Option<String>,
    prefix: Option<String>,
    filter: Option<Filter>,
    status: String,
    expiration: Option<Expiration>,
    noncurrent_version_expiration: Option<Noncurrent>,
    abort_incomplete_multipart_upload: Option<Abort>,
    #[serde(default)]
    transitions: Vec<Transition>,
    #[serde(default)]
    noncurrent_version_transitions: Vec<Noncurrent>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    prefix: Option<String>,
    tag: Option<Tag>,
    object_size_greater_than: Option<u64>,
    object_size_less_than: Option<u64>,
    and: Option<And>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct And {
    prefix: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    object_size_greater_than: Option<u64>,
    object_size_less_than: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Expiration {
    days: Option<i64>,
    date: Option<String>,
    expired_object_delete_marker: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Noncurrent {
    noncurrent_days: Option<i64>,
    newer_noncurrent_versions: Option<i64>,
    storage_class: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Abort {
    days_after_initiation: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Transition {
    days: Option<i64>,
    date: Option<String>,
    storage_class: Option<String>,
}

/// The rules of one bucket, checked.
#[derive(Clone, Debug)]
pub(crate) struct Lifecycle {
    rules: Vec<Rule>,
    moves_small_objects: bool,
}

impl Lifecycle {
    /// Reads a stored configuration.
    pub(crate) fn read(json: &Value) -> Result<Lifecycle, Fault> {
        let document: Document = serde_json::from_value(json.clone()).map_err(|_| fault::malformed_xml())?;
        if document.rules.is_empty() || document.rules.len() > RULES_MAX {
            return Err(fault::malformed_xml());
        }
        let mut ids = BTreeSet::new();
        for rule in &document.rules {
            rule.check()?;
            if let Some(id) = &rule.id
                && !ids.insert(id.as_str())
            {
                return Err(invalid_argument("Rule ID must be unique. Found same ID for more than one rule", "ID", id));
            }
        }
        let size = document.transition_default_minimum_object_size;
        let moves_small_objects = match size.as_deref() {
            None | Some("all_storage_classes_128K") => false,
            Some("varies_by_storage_class") => true,
            Some(other) => {
                let name = "TransitionDefaultMinimumObjectSize";
                return Err(invalid_argument("invalid TransitionDefaultMinimumObjectSize", name, other));
            }
        };
        Ok(Lifecycle { rules: document.rules, moves_small_objects })
    }

    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|r| r.status == "Enabled")
    }

    /// When the current version expires, and by which rule.
    pub(crate) fn expiry(&self, key: &str, body: &Body, modified: Timestamp) -> Option<(Timestamp, &str)> {
        self.enabled()
            .filter(|rule| rule.names(key, body.size, &body.tags))
            .filter_map(|rule| {
                let expiration = rule.expiration.as_ref()?;
                let at = match (expiration.days, &expiration.date) {
                    (Some(days), _) => due(modified, days),
                    (None, Some(date)) => date_of(date)?,
                    (None, None) => return None,
                };
                Some((at, rule.id.as_deref().unwrap_or("")))
            })
            .min_by_key(|(at, _)| *at)
    }

    /// Whether a delete marker without older versions goes.
    pub(crate) fn drops_lone_marker(&self, key: &str, modified: Timestamp, now: Timestamp) -> bool {
        self.enabled().filter(|rule| rule.names_marker(key)).any(|rule| {
            rule.expiration.as_ref().is_some_and(|e| {
                e.expired_object_delete_marker == Some(true) || e.days.is_some_and(|d| due(modified, d) <= now)
            })
        })
    }

    /// Whether an older version goes: it was replaced at `replaced`, `newer` older versions are newer than it.
    pub(crate) fn drops_noncurrent(
        &self,
        key: &str,
        body: Option<&Body>,
        replaced: Timestamp,
        newer: usize,
        now: Timestamp,
    ) -> bool {
        self.enabled().filter(|rule| rule.names_version(key, body)).any(|rule| {
            rule.noncurrent_version_expiration.as_ref().is_some_and(|e| {
                let keep = usize::try_from(e.newer_noncurrent_versions.unwrap_or(0)).unwrap_or(0);
                newer >= keep && e.noncurrent_days.is_some_and(|d| due(replaced, d) <= now)
            })
        })
    }

    /// The storage class that the current version moves to by now, if it is another than it has.
    pub(crate) fn transition(&self, key: &str, body: &Body, modified: Timestamp, now: Timestamp) -> Option<&str> {
        self.enabled()
            .filter(|rule| rule.names(key, body.size, &body.tags) && self.may_move(rule, body.size))
            .flat_map(|rule| &rule.transitions)
            .filter_map(|t| {
                let at = match (t.days, &t.date) {
                    (Some(days), _) => due(modified, days),
                    (None, Some(date)) => date_of(date)?,
                    (None, None) => return None,
                };
                Some((at, t.storage_class.as_deref()?))
            })
            .filter(|(at, _)| *at <= now)
            .max_by_key(|(at, _)| *at)
            .map(|(_, class)| class)
            .filter(|class| *class != body.storage_class())
    }

    /// As [`Lifecycle::transition`], for an older version.
    pub(crate) fn noncurrent_transition(
        &self,
        key: &str,
        body: &Body,
        replaced: Timestamp,
        newer: usize,
        now: Timestamp,
    ) -> Option<&str> {
        self.enabled()
            .filter(|rule| rule.names(key, body.size, &body.tags) && self.may_move(rule, body.size))
            .flat_map(|rule| &rule.noncurrent_version_transitions)
            .filter(|t| newer >= usize::try_from(t.newer_noncurrent_versions.unwrap_or(0)).unwrap_or(0))
            .filter_map(|t| Some((due(replaced, t.noncurrent_days?), t.storage_class.as_deref()?)))
            .filter(|(at, _)| *at <= now)
            .max_by_key(|(at, _)| *at)
            .map(|(_, class)| class)
            .filter(|class| *class != body.storage_class())
    }

    /// When an unfinished upload is aborted, and by which rule.
    pub(crate) fn abort(&self, key: &str, initiated: Timestamp) -> Option<(Timestamp, &str)> {
        self.enabled()
            .filter(|rule| rule.prefix().is_none_or(|p| key.starts_with(p)))
            .filter_map(|rule| {
                let days = rule.abort_incomplete_multipart_upload.as_ref()?.days_after_initiation?;
                Some((due(initiated, days), rule.id.as_deref().unwrap_or("")))
            })
            .min_by_key(|(at, _)| *at)
    }

    fn may_move(&self, rule: &Rule, size: u64) -> bool {
        self.moves_small_objects || rule.has_size() || size >= TRANSITION_BYTES_MIN
    }
}

/// `days` after `from`, at the next midnight UTC.
fn due(from: Timestamp, days: i64) -> Timestamp {
    let at = from.as_millis().saturating_add(days.saturating_mul(DAY_MS));
    Timestamp::from_millis(at.saturating_add(DAY_MS - 1).div_euclid(DAY_MS).saturating_mul(DAY_MS))
}

/// The next midnight UTC after `now`: when rules can come due.
pub(crate) fn next_midnight(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.as_millis().div_euclid(DAY_MS) + 1) * DAY_MS)
}

fn date_of(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text).ok()
}

impl Rule {
    fn prefix(&self) -> Option<&str> {
        let filter = self.filter.as_ref();
        let of_and = filter.and_then(|f| f.and.as_ref()).and_then(|a| a.prefix.as_deref());
        of_and.or(filter.and_then(|f| f.prefix.as_deref())).or(self.prefix.as_deref())
    }

    fn tags(&self) -> impl Iterator<Item = &Tag> {
        let filter = self.filter.iter();
        filter.flat_map(|f| f.tag.iter().chain(f.and.iter().flat_map(|a| &a.tags)))
    }

    fn sizes(&self) -> (Option<u64>, Option<u64>) {
        let Some(filter) = &self.filter else { return (None, None) };
        match &filter.and {
            Some(and) => (and.object_size_greater_than, and.object_size_less_than),
            None => (filter.object_size_greater_than, filter.object_size_less_than),
        }
    }

    fn has_size(&self) -> bool {
        self.sizes() != (None, None)
    }

    fn names(&self, key: &str, size: u64, tags: &Tags) -> bool {
        let (above, below) = self.sizes();
        self.prefix().is_none_or(|p| key.starts_with(p))
            && above.is_none_or(|n| size > n)
            && below.is_none_or(|n| size < n)
            && self.tags().all(|t| tags.get(&t.key) == Some(&t.value))
    }

    fn names_marker(&self, key: &str) -> bool {
        self.prefix().is_none_or(|p| key.starts_with(p)) && self.tags().next().is_none() && !self.has_size()
    }

    fn names_version(&self, key: &str, body: Option<&Body>) -> bool {
        body.map_or_else(|| self.names_marker(key), |body| self.names(key, body.size, &body.tags))
    }

    fn check(&self) -> Result<(), Fault> {
        if !matches!(self.status.as_str(), "Enabled" | "Disabled") || self.prefix.is_some() == self.filter.is_some() {
            return Err(fault::malformed_xml());
        }
        if self.id.as_ref().is_some_and(|id| id.chars().count() > ID_CHARS_MAX) {
            return Err(invalid_argument("ID length should not exceed allowed limit of 255", "ID", ""));
        }
        if let Some(filter) = &self.filter {
            let given = [
                filter.prefix.is_some(),
                filter.tag.is_some(),
                filter.object_size_greater_than.is_some(),
                filter.object_size_less_than.is_some(),
                filter.and.is_some(),
            ];
            if given.into_iter().filter(|g| *g).count() > 1 {
                return Err(fault::malformed_xml());
            }
        }
        let has_action = self.expiration.is_some()
            || self.noncurrent_version_expiration.is_some()
            || self.abort_incomplete_multipart_upload.is_some()
            || !self.transitions.is_empty()
            || !self.noncurrent_version_transitions.is_empty();
        if !has_action {
            return Err(invalid_request("At least one action needs to be specified in a rule"));
        }
        self.check_actions()
    }

    fn check_actions(&self) -> Result<(), Fault> {
        let has_tags = self.tags().next().is_some();
        if let Some(expiration) = &self.expiration {
            let given = [
                expiration.days.is_some(),
                expiration.date.is_some(),
                expiration.expired_object_delete_marker.is_some(),
            ];
            if given.into_iter().filter(|g| *g).count() != 1 {
                return Err(fault::malformed_xml());
            }
            positive(expiration.days, "'Days' for Expiration action must be a positive integer", "Days")?;
            midnight(expiration.date.as_deref())?;
            if expiration.expired_object_delete_marker.is_some() && has_tags {
                return Err(invalid_request("ExpiredObjectDeleteMarker cannot be specified with Tags."));
            }
        }
        for noncurrent in self.noncurrent_version_expiration.iter().chain(&self.noncurrent_version_transitions) {
            let days = noncurrent.noncurrent_days.ok_or_else(fault::malformed_xml)?;
            positive(Some(days), "'NoncurrentDays' must be a positive integer", "NoncurrentDays")?;
            let newer = noncurrent.newer_noncurrent_versions;
            positive(newer, "'NewerNoncurrentVersions' must be a positive integer", "NewerNoncurrentVersions")?;
        }
        for transition in &self.transitions {
            if transition.days.is_some() == transition.date.is_some() || transition.storage_class.is_none() {
                return Err(fault::malformed_xml());
            }
            if transition.days.is_some_and(|d| d < 0) {
                return Err(invalid_argument("'Days' in Transition action must be nonnegative", "Days", ""));
            }
            midnight(transition.date.as_deref())?;
        }
        if let Some(abort) = &self.abort_incomplete_multipart_upload {
            let days = abort.days_after_initiation.ok_or_else(fault::malformed_xml)?;
            let message = "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer";
            positive(Some(days), message, "DaysAfterInitiation")?;
            if has_tags {
                return Err(invalid_request("AbortIncompleteMultipartUpload cannot be specified with Tags."));
            }
        }
        Ok(())
    }
}

fn positive(value: Option<i64>, message: &str, name: &str) -> Result<(), Fault> {
    match value {
        Some(n) if n <= 0 => Err(invalid_argument(message, name, n.to_string())),
        _ => Ok(()),
    }
}

fn midnight(date: Option<&str>) -> Result<(), Fault> {
    let Some(text) = date else { return Ok(()) };
    match date_of(text) {
        Some(date) if date.as_millis().rem_euclid(DAY_MS) == 0 => Ok(()),
        Some(_) => Err(invalid_argument("'Date' must be at midnight GMT", "Date", text)),
        None => Err(fault::malformed_xml()),
    }
}
