//! Reading what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Scope;
use serde::de::DeserializeOwned;
use store::{Error, Range, Store};

use super::keys::{self, StackKey};
use super::stored::{ChangeSet, Record, Source, Stack, StackStatus, StoredEvent, decode};

/// All reads of stacks; writes go through [`super::Deployer`].
#[derive(Clone)]
pub(crate) struct Repository {
    pub store: Arc<dyn Store>,
}

impl Repository {
    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.store.get(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, Error> {
        self.store.scan(&Range::prefix(prefix))?.iter().map(|(_, value)| decode(value)).collect()
    }

    pub fn stack(&self, key: &StackKey) -> Result<Option<Stack>, Error> {
        self.get(&key.stack())
    }

    /// A stack by its name, if it is live, or by its id, deleted or not.
    pub fn find(&self, scope: &Scope, name_or_id: &str) -> Result<Option<Stack>, Error> {
        let uuid = match name_or_id.starts_with("arn:") {
            true => match name_or_id.rsplit('/').next() {
                Some(uuid) => uuid.to_owned(),
                None => return Ok(None),
            },
            false => match self.get::<String>(&keys::name(scope, name_or_id))? {
                Some(uuid) => uuid,
                None => return Ok(None),
            },
        };
        let found = self.stack(&StackKey::new(scope, &uuid))?;
        Ok(found.filter(|stack| !name_or_id.starts_with("arn:") || stack.id() == name_or_id))
    }

    /// Every stack of a scope, oldest first.
    pub fn stacks(&self, scope: &Scope) -> Result<Vec<Stack>, Error> {
        let mut stacks: Vec<Stack> = self.all(&keys::stacks(scope))?;
        stacks.sort_by(|a, b| (a.created_ms, &a.uuid).cmp(&(b.created_ms, &b.uuid)));
        Ok(stacks)
    }

    pub fn source(&self, key: &StackKey, number: u64) -> Result<Option<Source>, Error> {
        self.get(&key.source(number))
    }

    pub fn record(&self, key: &StackKey, logical_id: &str) -> Result<Option<Record>, Error> {
        self.get(&key.resource(logical_id))
    }

    pub fn records(&self, key: &StackKey) -> Result<BTreeMap<String, Record>, Error> {
        Ok(self.all::<Record>(&key.resources())?.into_iter().map(|r| (r.logical_id.clone(), r)).collect())
    }

    /// At most `limit` events before number `before`, newest first, with their numbers.
    pub fn events_before(&self, key: &StackKey, before: u64, limit: usize) -> Result<Vec<(u64, StoredEvent)>, Error> {
        let range = Range::between(key.events(), key.event(before)).reverse().limit(limit);
        self.numbered(key, &range)
    }

    /// At most `limit` events from number `from` on, oldest first.
    pub fn events_from(&self, key: &StackKey, from: u64, limit: usize) -> Result<Vec<(u64, StoredEvent)>, Error> {
        let range = Range::between(key.event(from), store::successor(&key.events())).limit(limit);
        self.numbered(key, &range)
    }

    fn numbered(&self, key: &StackKey, range: &Range) -> Result<Vec<(u64, StoredEvent)>, Error> {
        let skip = key.events().len();
        let entries = self.store.scan(range)?;
        entries
            .iter()
            .map(|(stored_key, value)| {
                let number = store::KeyReader::new(&stored_key[skip..]).u64()?;
                Ok((number, decode(value)?))
            })
            .collect()
    }

    pub fn change_set(&self, key: &StackKey, name: &str) -> Result<Option<ChangeSet>, Error> {
        self.get(&key.change_set(name))
    }

    pub fn change_sets(&self, key: &StackKey) -> Result<Vec<ChangeSet>, Error> {
        self.all(&key.change_sets())
    }

    /// The exports of a scope's live stacks: name to value and exporting stack.
    pub fn exports(&self, scope: &Scope) -> Result<BTreeMap<String, (String, Stack)>, Error> {
        let mut exports = BTreeMap::new();
        for stack in self.stacks(scope)? {
            if stack.status == StackStatus::DeleteComplete {
                continue;
            }
            for output in &stack.outputs {
                if let Some(name) = &output.export {
                    exports.insert(name.clone(), (output.value.clone(), stack.clone()));
                }
            }
        }
        Ok(exports)
    }

    /// Names of the live stacks that import `export`.
    pub fn importers(&self, scope: &Scope, export: &str) -> Result<Vec<String>, Error> {
        let stacks = self.stacks(scope)?.into_iter();
        let live = stacks.filter(|s| s.status != StackStatus::DeleteComplete);
        Ok(live.filter(|s| s.imports.iter().any(|i| i == export)).map(|s| s.name).collect())
    }
}
