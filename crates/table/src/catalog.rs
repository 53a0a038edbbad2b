use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use base::Scope;

use crate::schema::{Table, TableName};

/// The committed definitions of all tables, for everybody who reads. Cells put in what they have committed.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    tables: RwLock<BTreeMap<TableName, Arc<Table>>>,
}

impl Catalog {
    pub fn get(&self, name: &TableName) -> Option<Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub fn put(&self, table: Arc<Table>) {
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(table.table_name(), table);
    }

    pub fn remove(&self, name: &TableName) {
        self.tables.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Names of tables behind `after`, in order; at most `limit`.
    pub fn names(&self, scope: &Scope, after: &str, limit: usize) -> Vec<Arc<str>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let start = TableName { scope: scope.clone(), name: after.into() };
        let behind = tables.range((std::ops::Bound::Excluded(start), std::ops::Bound::Unbounded));
        behind.map(|(name, _)| name).take_while(|n| n.scope == *scope).take(limit).map(|n| n.name.clone()).collect()
    }

    /// How many tables an account has in a region.
    pub fn count(&self, scope: &Scope) -> usize {
        self.names(scope, "", usize::MAX).len()
    }
}
