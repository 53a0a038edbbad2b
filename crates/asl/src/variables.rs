use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::Name;

/// AWS's limit of a variable's name.
const NAME_CHARS_MAX: usize = 80;

/// Whether a variable may be called `name`.
pub(crate) fn is_name(name: &str) -> bool {
    name_fault(name).is_none()
}

/// Why no variable may be called `name`: it is no Unicode identifier, or too long.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    let mut chars = name.chars();
    if !chars.next().is_some_and(char::is_alphabetic) || !chars.all(|c| c.is_alphanumeric() || c == '_') {
        return Some("the variable name contains invalid characters");
    }
    (name.chars().count() > NAME_CHARS_MAX)
        .then_some("the variable name exceeds the 80-character limit allowed by the service")
}

/// The workflow variables that a state sees: its own scope's, then those of the scopes around it.
///
/// A branch of a Parallel state and an iteration of a Map state read the variables around them and assign only in
/// their own scope (AWS: "Passing data between states with variables"), so a scope never changes another one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variables {
    own: BTreeMap<Name, Arc<Value>>,
    outer: Option<Arc<Variables>>,
}

/// No variables at all.
pub static NO_VARIABLES: Variables = Variables { own: BTreeMap::new(), outer: None };

impl Variables {
    /// A new, empty scope inside `outer`.
    pub fn within(outer: Arc<Variables>) -> Variables {
        Variables { own: BTreeMap::new(), outer: Some(outer) }
    }

    /// The variable of that name (without `$`), from the nearest scope that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut scope = self;
        loop {
            if let Some(value) = scope.own.get(name) {
                return Some(value);
            }
            scope = scope.outer.as_deref()?;
        }
    }

    /// Assigns in this scope.
    pub fn assign(&mut self, name: Name, value: Arc<Value>) {
        self.own.insert(name, value);
    }

    /// This scope's own variables, by name.
    pub fn own(&self) -> &BTreeMap<Name, Arc<Value>> {
        &self.own
    }

    /// The scope around this one.
    pub fn outer(&self) -> Option<&Arc<Variables>> {
        self.outer.as_ref()
    }
}

/// What paths start from.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// `$`
    pub input: &'a Value,
    /// `$$`
    pub context: &'a Value,
    /// `$name`
    pub variables: &'a Variables,
}

impl<'a> Scene<'a> {
    /// A scene without variables.
    pub fn new(input: &'a Value, context: &'a Value) -> Scene<'a> {
        Scene { input, context, variables: &NO_VARIABLES }
    }
}
