use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use asl::{Branch, Map, StateKind, StateMachine};
use store::Error;

use crate::catalog::{Catalog, bounded};

/// Processors that stay in memory though nothing uses them.
const KEPT_MAX: usize = 100;

/// By definition, Map state, and whether they are bounded as Express ones.
type Kept = BTreeMap<(u64, String, bool), Arc<StateMachine>>;

/// What children run: the processors of Map states as machines of their own, each made once.
#[derive(Clone)]
pub(crate) struct Processors {
    catalog: Catalog,
    kept: Arc<Mutex<Kept>>,
}

impl Processors {
    pub fn new(catalog: Catalog) -> Processors {
        Processors { catalog, kept: Arc::default() }
    }

    /// The processor of the Map state `state_name` in a stored definition.
    pub fn get(&self, definition_id: u64, state_name: &str, is_express: bool) -> Result<Arc<StateMachine>, Error> {
        let key = (definition_id, state_name.to_owned(), is_express);
        if let Some(found) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(found.clone());
        }
        let definition = self.definition(definition_id)?;
        let processor = interp::processor_of(&definition, state_name)
            .ok_or_else(|| Error::Corrupt(format!("definition {definition_id} has no Map state {state_name}")))?;
        let processor = bounded(Arc::new(processor), is_express);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, processor| Arc::strong_count(processor) > 1);
        }
        Ok(kept.entry(key).or_insert(processor).clone())
    }

    pub fn definition(&self, definition_id: u64) -> Result<Arc<StateMachine>, Error> {
        self.catalog.definition(definition_id, false)
    }
}

/// The Map state of that name, in this scope or in nested ones; the parser bounds how deep they nest.
pub(super) fn map_state<'a>(branch: &'a Branch, name: &str) -> Option<&'a Map> {
    branch.states.values().find_map(|state| match &state.kind {
        StateKind::Map(map) if *state.name == *name => Some(&**map),
        StateKind::Map(map) => map_state(&map.processor, name),
        StateKind::Parallel { branches } => branches.iter().find_map(|branch| map_state(branch, name)),
        _ => None,
    })
}
