//! All functions and layers: changed through one cell, read from memory.

mod machine;
pub(crate) mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use base::{Clock, Scope, Timestamp};
use cell::{Cell, CellOptions, Reply};
use serde_json::Value;
use service::{EffectId, Fault};
use store::Store;

use crate::fault::not_committed;
use crate::name::{FunctionKey, LATEST};
use crate::package::PackageId;
use crate::sandbox::Deployment;
pub(crate) use machine::Editor;
use machine::{Book, Change};
use record::{AliasRecord, FunctionRecord, LayerRecord, VersionRecord};

/// A function with its published versions, as last committed. Never changed, only replaced.
#[derive(Debug)]
pub(crate) struct Function {
    pub record: FunctionRecord,
    pub versions: BTreeMap<u64, VersionRecord>,
    /// What workers run, by version; made when first needed.
    deployments: RwLock<BTreeMap<String, Arc<Deployment>>>,
}

/// A layer with its versions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layer {
    pub next_version: u64,
    pub versions: BTreeMap<u64, LayerRecord>,
}

/// What readers see: every committed change, nothing else.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub functions: BTreeMap<FunctionKey, Arc<Function>>,
    pub layers: BTreeMap<FunctionKey, Arc<Layer>>,
    /// Reserved concurrency by account and region.
    reserved: BTreeMap<Scope, u32>,
}

pub(crate) type SharedShelf = Arc<RwLock<Shelf>>;

/// The way to all of it.
pub(crate) struct Catalogue {
    shelf: SharedShelf,
    cell: Cell<Change>,
}

impl Catalogue {
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Catalogue, store::Error> {
        let shelf = SharedShelf::default();
        let book = Book::new(shelf.clone());
        let cell = Cell::start("lambda", book, store, clock, CellOptions::default()).await?;
        Ok(Catalogue { shelf, cell })
    }

    /// Looks something up.
    pub fn read<T>(&self, look: impl FnOnce(&Shelf) -> T) -> T {
        look(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn function(&self, key: &FunctionKey) -> Option<Arc<Function>> {
        self.read(|shelf| shelf.functions.get(key).cloned())
    }

    /// Changes something; the answer is durable. A repeated `effect` gets the first one's answer.
    pub async fn change(
        &self,
        effect: Option<EffectId>,
        edit: impl FnOnce(&mut Editor<'_, '_>) -> Result<Value, Fault> + Send + 'static,
    ) -> Result<Value, Fault> {
        let make = |reply: Reply<Result<Value, Fault>>| Change { effect, edit: Box::new(edit), reply };
        self.cell.call(make).await.unwrap_or_else(|e| Err(not_committed(&e)))
    }

    /// Every package that a function or layer names.
    pub fn packages(&self) -> BTreeSet<PackageId> {
        self.read(|shelf| {
            let functions = shelf.functions.values();
            let versions = functions.flat_map(|f| f.versions.values().chain([&f.record.latest]));
            let of_versions = versions.flat_map(|v| v.layers.iter().map(|l| &l.package).chain([&v.package]));
            let of_layers = shelf.layers.values().flat_map(|l| l.versions.values().map(|v| &v.package));
            of_versions.chain(of_layers).filter_map(|hex| PackageId::from_hex(hex)).collect()
        })
    }
}

impl Shelf {
    pub fn reserved_total(&self, scope: &Scope) -> u32 {
        self.reserved.get(scope).copied().unwrap_or(0)
    }

    /// The functions of one account and region, by name.
    pub fn functions_of<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> impl Iterator<Item = (&'a FunctionKey, &'a Arc<Function>)> + 'a {
        let first = FunctionKey { scope: scope.clone(), name: String::new() };
        self.functions.range(first..).take_while(move |(key, _)| key.scope == *scope)
    }

    pub fn layers_of<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a FunctionKey, &'a Arc<Layer>)> + 'a {
        let first = FunctionKey { scope: scope.clone(), name: String::new() };
        self.layers.range(first..).take_while(move |(key, _)| key.scope == *scope)
    }

    fn put_function(&mut self, key: FunctionKey, function: Option<Arc<Function>>) {
        let scope = key.scope.clone();
        match function {
            Some(function) => {
                if let Some(old) = self.functions.get(&key) {
                    function.keep_deployments(old);
                }
                self.functions.insert(key, function);
            }
            None => drop(self.functions.remove(&key)),
        }
        let total = self.functions_of(&scope).filter_map(|(_, f)| f.record.reserved_concurrency).sum();
        self.reserved.insert(scope, total);
    }
}

/// Which version a qualifier means.
pub(crate) enum Target<'a> {
    Version(&'a VersionRecord),
    Alias(&'a AliasRecord),
}

impl Function {
    pub fn new(record: FunctionRecord, versions: BTreeMap<u64, VersionRecord>) -> Function {
        Function { record, versions, deployments: RwLock::default() }
    }

    /// A copy to be changed and put back.
    pub fn edited(&self, edit: impl FnOnce(&mut FunctionRecord)) -> Function {
        let mut record = self.record.clone();
        edit(&mut record);
        Function::new(record, self.versions.clone())
    }

    pub fn target(&self, qualifier: Option<&str>) -> Option<Target<'_>> {
        match qualifier {
            None => Some(Target::Version(&self.record.latest)),
            Some(q) => match self.version(q) {
                Some(version) => Some(Target::Version(version)),
                None => self.record.aliases.get(q).map(Target::Alias),
            },
        }
    }

    /// A version by its own name: `$LATEST` or a number.
    pub fn version(&self, version: &str) -> Option<&VersionRecord> {
        if version == LATEST {
            return Some(&self.record.latest);
        }
        // "01" names nothing.
        self.versions.get(&version.parse().ok()?).filter(|v| v.version == version)
    }

    /// What workers run of `version`, made by `make` the first time.
    pub fn deployment(
        &self,
        version: &str,
        make: impl FnOnce(&VersionRecord) -> Deployment,
    ) -> Option<Arc<Deployment>> {
        if let Some(found) = self.deployments.read().unwrap_or_else(PoisonError::into_inner).get(version) {
            return Some(found.clone());
        }
        let record = self.version(version)?;
        let mut known = self.deployments.write().unwrap_or_else(PoisonError::into_inner);
        Some(known.entry(version.to_owned()).or_insert_with(|| Arc::new(make(record))).clone())
    }

    /// Versions that this change left alone keep their workers.
    fn keep_deployments(&self, old: &Function) {
        let old_deployments = old.deployments.read().unwrap_or_else(PoisonError::into_inner);
        let mut own = self.deployments.write().unwrap_or_else(PoisonError::into_inner);
        for (version, deployment) in old_deployments.iter() {
            let (before, after) = (old.version(version), self.version(version));
            if before.map(|v| &v.revision_id) == after.map(|v| &v.revision_id) {
                own.insert(version.clone(), deployment.clone());
            }
        }
    }
}

pub(crate) fn modified_now(record: &mut VersionRecord, now: Timestamp, revision_id: String) {
    record.modified_ms = now.as_millis();
    record.revision_id = revision_id;
}
