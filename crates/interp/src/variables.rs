//! The workflow variables of one scope of states, and what a state assigns to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use asl::{Name, Variables};
use serde_json::Value;

use crate::failure::Failure;
use crate::payload::Payload;

/// What one Assign makes, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assigned(BTreeMap<Name, Payload>);

impl Assigned {
    /// The members of what an Assign template gives.
    pub fn new(value: Value) -> Result<Assigned, Failure> {
        let Value::Object(members) = value else {
            return Err(Failure::runtime("The Assign field does not give an object."));
        };
        let variables = members.into_iter().map(|(name, value)| Ok((Name::from(name), Payload::new(value)?)));
        Ok(Assigned(variables.collect::<Result<_, Failure>>()?))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Payload)> {
        self.0.iter()
    }

    /// The JSON texts by name, as the history shows them.
    pub fn texts(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        self.0.iter().map(|(name, value)| (name.clone(), value.text().clone())).collect()
    }
}

impl FromIterator<(Name, Payload)> for Assigned {
    fn from_iter<I: IntoIterator<Item = (Name, Payload)>>(all: I) -> Assigned {
        Assigned(all.into_iter().collect())
    }
}

/// The variables that a frame sees, with the texts of its own: a step neither prints nor reads one twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    visible: Arc<Variables>,
    texts: BTreeMap<Name, Arc<str>>,
}

impl Scope {
    /// A new, empty scope inside this one.
    pub fn inner(&self) -> Scope {
        // What has nothing to show is not kept: nested scopes without variables stay flat.
        let empty = self.visible.own().is_empty();
        let outer = if empty { self.visible.outer().cloned() } else { Some(self.visible.clone()) };
        let visible = outer.map_or_else(Variables::default, Variables::within);
        Scope { visible: Arc::new(visible), texts: BTreeMap::new() }
    }

    pub fn visible(&self) -> &Variables {
        &self.visible
    }

    /// This scope's own variables as JSON texts.
    pub fn texts(&self) -> &BTreeMap<Name, Arc<str>> {
        &self.texts
    }

    /// How large its own variables are.
    pub fn bytes(&self) -> usize {
        self.texts.values().map(|text| text.len()).sum()
    }

    /// By how much `assigned` would make it larger, and smaller.
    pub fn growth(&self, assigned: &Assigned) -> (usize, usize) {
        let old = assigned.iter().filter_map(|(name, _)| self.texts.get(name)).map(|text| text.len()).sum();
        (assigned.iter().map(|(_, value)| value.text().len()).sum(), old)
    }

    pub fn assign(&mut self, assigned: &Assigned) {
        if assigned.is_empty() {
            return;
        }
        let visible = Arc::make_mut(&mut self.visible);
        for (name, value) in assigned.iter() {
            visible.assign(name.clone(), value.shared());
            self.texts.insert(name.clone(), value.text().clone());
        }
    }

    /// All that it shows, as one JSON object.
    pub fn to_json(&self) -> String {
        let mut scopes = vec![self.visible()];
        while let Some(outer) = scopes.last().and_then(|scope| scope.outer()) {
            scopes.push(outer);
        }
        let all = scopes.into_iter().rev().flat_map(|scope| scope.own());
        let all: BTreeMap<&str, &Value> = all.map(|(name, value)| (&**name, &**value)).collect();
        serde_json::to_string(&all).expect("values have text keys only")
    }
}
