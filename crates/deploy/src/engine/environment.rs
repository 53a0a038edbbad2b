//! What a template's functions find: the stack's own resources, and other stacks' exports.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stored::Record;
use crate::provider;
use crate::template::{Environment, Lookup};

/// Resources as they are now; those in `unknown`, with their types, are yet to be made or replaced.
pub(crate) struct Live<'a> {
    pub records: &'a BTreeMap<String, Record>,
    pub unknown: BTreeMap<String, String>,
    pub exports: &'a BTreeMap<String, String>,
    /// Which exports were asked for.
    pub imported: RefCell<BTreeSet<String>>,
}

impl<'a> Live<'a> {
    pub fn new(records: &'a BTreeMap<String, Record>, exports: &'a BTreeMap<String, String>) -> Live<'a> {
        Live { records, unknown: BTreeMap::new(), exports, imported: RefCell::default() }
    }
}

impl Environment for Live<'_> {
    fn reference(&self, logical_id: &str) -> Lookup {
        if self.unknown.contains_key(logical_id) {
            return Lookup::Unknown;
        }
        match self.records.get(logical_id).and_then(|r| r.instance.as_ref()) {
            Some(instance) => Lookup::Found(Value::String(instance.physical_id.clone())),
            None => Lookup::Undefined,
        }
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Lookup {
        if let Some(resource_type) = self.unknown.get(logical_id) {
            let known = provider::find(resource_type).is_none_or(|p| p.attributes().contains(&attribute));
            return if known { Lookup::Unknown } else { Lookup::NoAttribute };
        }
        match self.records.get(logical_id).and_then(|r| r.instance.as_ref()) {
            Some(instance) => match instance.attributes.get(attribute) {
                Some(value) if !value.is_null() => Lookup::Found(value.clone()),
                _ => Lookup::NoAttribute,
            },
            None => Lookup::Undefined,
        }
    }

    fn import(&self, name: &str) -> Lookup {
        self.imported.borrow_mut().insert(name.to_owned());
        match self.exports.get(name) {
            Some(value) => Lookup::Found(Value::String(value.clone())),
            None => Lookup::Undefined,
        }
    }
}
