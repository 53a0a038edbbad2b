use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use base::{Scope, Timestamp};
use cell::{Machine, Reply, Turn};
use serde_json::Value;
use service::{EffectId, Fault};
use store::{Error, Range};

use super::record::{
    self, FUNCTION, FunctionRecord, LAYER, LAYER_NEXT, VERSION, VersionRecord, all, decode, encode, function_key,
    layer_key, layer_next_key, read_key, version_key,
};
use super::{Function, Layer, SharedShelf};
use crate::name::FunctionKey;

/// What one operation does to the catalogue, as a function that the cell's loop calls.
type Edit = Box<dyn FnOnce(&mut Editor<'_, '_>) -> Result<Value, Fault> + Send>;

pub(super) struct Change {
    pub effect: Option<EffectId>,
    pub edit: Edit,
    pub reply: Reply<Result<Value, Fault>>,
}

/// The cell's state: all functions and layers, ahead of the shelf by what is not committed yet.
pub(super) struct Book {
    shelf: SharedShelf,
    functions: BTreeMap<FunctionKey, Arc<Function>>,
    layers: BTreeMap<FunctionKey, Arc<Layer>>,
}

impl Book {
    pub fn new(shelf: SharedShelf) -> Book {
        Book { shelf, functions: BTreeMap::new(), layers: BTreeMap::new() }
    }
}

impl Machine for Book {
    type Input = Change;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.functions = load_functions(turn)?;
        self.layers = load_layers(turn)?;
        let (shelf, functions, layers) = (self.shelf.clone(), self.functions.clone(), self.layers.clone());
        turn.effect(move || {
            let mut shelf = shelf.write().unwrap_or_else(PoisonError::into_inner);
            // What readers hold already is the same, with deployments that are in use.
            for (key, function) in functions {
                if shelf.functions.get(&key).is_none_or(|old| old.record != function.record) {
                    shelf.put_function(key, Some(function));
                }
            }
            shelf.layers = layers;
        });
        Ok(())
    }

    fn apply(&mut self, change: Change, turn: &mut Turn<'_>) -> Result<(), Error> {
        if let Some(effect) = &change.effect
            && let Some(answer) = turn.earlier_answer(&effect.0)?
        {
            let answer = decode(&effect.0, &answer)?;
            turn.reply(change.reply, Ok(answer));
            return Ok(());
        }
        let mut editor = Editor { book: self, turn, functions: Vec::new(), layers: Vec::new() };
        let answer = (change.edit)(&mut editor);
        let (functions, layers) = (editor.functions, editor.layers);
        if let (Some(effect), Ok(answer)) = (&change.effect, &answer) {
            turn.remember_answer(&effect.0, encode(answer));
        }
        let shelf = self.shelf.clone();
        turn.effect(move || {
            let mut shelf = shelf.write().unwrap_or_else(PoisonError::into_inner);
            for (key, function) in functions {
                shelf.put_function(key, function);
            }
            for (key, layer) in layers {
                match layer {
                    Some(layer) => drop(shelf.layers.insert(key, layer)),
                    None => drop(shelf.layers.remove(&key)),
                }
            }
        });
        turn.reply(change.reply, answer);
        Ok(())
    }
}

fn load_functions(turn: &Turn<'_>) -> Result<BTreeMap<FunctionKey, Arc<Function>>, Error> {
    let mut versions: BTreeMap<FunctionKey, BTreeMap<u64, VersionRecord>> = BTreeMap::new();
    for (key, value) in turn.scan(&Range::prefix(&all(VERSION)))? {
        let (function, number) = read_key(&key)?;
        let number = number.ok_or_else(|| Error::Corrupt("version key without a number".to_owned()))?;
        versions.entry(function).or_default().insert(number, decode(&key, &value)?);
    }
    let mut functions = BTreeMap::new();
    for (key, value) in turn.scan(&Range::prefix(&all(FUNCTION)))? {
        let (function, _) = read_key(&key)?;
        let record: FunctionRecord = decode(&key, &value)?;
        let versions = versions.remove(&function).unwrap_or_default();
        functions.insert(function, Arc::new(Function::new(record, versions)));
    }
    Ok(functions)
}

fn load_layers(turn: &Turn<'_>) -> Result<BTreeMap<FunctionKey, Arc<Layer>>, Error> {
    let mut layers: BTreeMap<FunctionKey, Layer> = BTreeMap::new();
    for (key, value) in turn.scan(&Range::prefix(&all(LAYER_NEXT)))? {
        layers.entry(read_key(&key)?.0).or_default().next_version = decode(&key, &value)?;
    }
    for (key, value) in turn.scan(&Range::prefix(&all(LAYER)))? {
        let record: record::LayerRecord = decode(&key, &value)?;
        layers.entry(read_key(&key)?.0).or_default().versions.insert(record.version, record);
    }
    Ok(layers.into_iter().map(|(k, l)| (k, Arc::new(l))).collect())
}

/// What an operation may do in its turn.
pub(crate) struct Editor<'b, 't> {
    book: &'b mut Book,
    turn: &'b mut Turn<'t>,
    functions: Vec<(FunctionKey, Option<Arc<Function>>)>,
    layers: Vec<(FunctionKey, Option<Arc<Layer>>)>,
}

impl Editor<'_, '_> {
    pub fn now(&self) -> Timestamp {
        self.turn.now()
    }

    pub fn function(&self, key: &FunctionKey) -> Option<Arc<Function>> {
        self.book.functions.get(key).cloned()
    }

    /// The sum of the reservations in `scope`, but for one function's.
    pub fn reserved_by_others(&self, scope: &Scope, but: &FunctionKey) -> u32 {
        let others = self.book.functions.iter().filter(|(k, _)| k.scope == *scope && *k != but);
        others.filter_map(|(_, f)| f.record.reserved_concurrency).sum()
    }

    /// Puts a function in the place of what was there.
    pub fn put_function(&mut self, key: &FunctionKey, function: Function) {
        let none = BTreeMap::new();
        let old = self.book.functions.get(key).cloned();
        let before = old.as_ref().map_or(&none, |f| &f.versions);
        for number in before.keys().filter(|n| !function.versions.contains_key(n)) {
            self.turn.delete(version_key(key, *number));
        }
        for (number, version) in function.versions.iter().filter(|(n, v)| before.get(n) != Some(v)) {
            self.turn.put(version_key(key, *number), encode(version));
        }
        self.turn.put(function_key(key), encode(&function.record));
        let function = Arc::new(function);
        self.book.functions.insert(key.clone(), function.clone());
        self.functions.push((key.clone(), Some(function)));
    }

    pub fn delete_function(&mut self, key: &FunctionKey) {
        if let Some(old) = self.book.functions.remove(key) {
            for number in old.versions.keys() {
                self.turn.delete(version_key(key, *number));
            }
            self.turn.delete(function_key(key));
            self.functions.push((key.clone(), None));
        }
    }

    pub fn layer(&self, key: &FunctionKey) -> Option<Arc<Layer>> {
        self.book.layers.get(key).cloned()
    }

    pub fn put_layer(&mut self, key: &FunctionKey, layer: Layer) {
        let old = self.book.layers.get(key).cloned().unwrap_or_default();
        for number in old.versions.keys().filter(|n| !layer.versions.contains_key(n)) {
            self.turn.delete(layer_key(key, *number));
        }
        for (number, version) in layer.versions.iter().filter(|(n, v)| old.versions.get(n) != Some(v)) {
            self.turn.put(layer_key(key, *number), encode(version));
        }
        // Kept when all versions are gone: numbers are not used again.
        self.turn.put(layer_next_key(key), encode(&layer.next_version));
        let layer = Arc::new(layer);
        self.book.layers.insert(key.clone(), layer.clone());
        self.layers.push((key.clone(), Some(layer)));
    }
}
