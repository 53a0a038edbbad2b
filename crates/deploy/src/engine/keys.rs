//! Where things lie in the store: the space `cloudformation`, by account and region.

use base::Scope;
use store::Key;

/// Names one stack for ever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StackKey {
    pub scope: Scope,
    pub uuid: String,
}

const NAME: u8 = 1;
const STACK: u8 = 2;
const SOURCE: u8 = 3;
const RESOURCE: u8 = 4;
const EVENT: u8 = 5;
const CHANGE_SET: u8 = 6;
const RUNNING: u8 = 7;

fn scoped(kind: u8, scope: &Scope) -> Key {
    Key::new("cloudformation").u8(kind).str(scope.account()).str(scope.region())
}

/// A live stack's name, to its uuid.
pub(crate) fn name(scope: &Scope, name: &str) -> Vec<u8> {
    scoped(NAME, scope).str(name).build()
}

/// All stacks of a scope, deleted ones included.
pub(crate) fn stacks(scope: &Scope) -> Vec<u8> {
    scoped(STACK, scope).build()
}

/// All stacks with an operation that runs, of all scopes.
pub(crate) fn all_running() -> Vec<u8> {
    Key::new("cloudformation").u8(RUNNING).build()
}

impl StackKey {
    pub fn new(scope: &Scope, uuid: &str) -> StackKey {
        StackKey { scope: scope.clone(), uuid: uuid.to_owned() }
    }

    fn of(&self, kind: u8) -> Key {
        scoped(kind, &self.scope).str(&self.uuid)
    }

    pub fn stack(&self) -> Vec<u8> {
        self.of(STACK).build()
    }

    pub fn source(&self, number: u64) -> Vec<u8> {
        self.of(SOURCE).u64(number).build()
    }

    pub fn resources(&self) -> Vec<u8> {
        self.of(RESOURCE).build()
    }

    pub fn resource(&self, logical_id: &str) -> Vec<u8> {
        self.of(RESOURCE).str(logical_id).build()
    }

    pub fn events(&self) -> Vec<u8> {
        self.of(EVENT).build()
    }

    pub fn event(&self, number: u64) -> Vec<u8> {
        self.of(EVENT).u64(number).build()
    }

    pub fn change_sets(&self) -> Vec<u8> {
        self.of(CHANGE_SET).build()
    }

    pub fn change_set(&self, name: &str) -> Vec<u8> {
        self.of(CHANGE_SET).str(name).build()
    }

    pub fn running(&self) -> Vec<u8> {
        self.of(RUNNING).build()
    }

    /// What belongs to a stack besides its own record.
    pub fn all_parts(&self) -> [Vec<u8>; 4] {
        [self.of(SOURCE).build(), self.resources(), self.events(), self.change_sets()]
    }

    /// The entry whose key is the id of one call's effect. Receivers keep their answer as long as it exists.
    pub fn effect(&self, number: u64) -> Vec<u8> {
        Key::new("outbox").str(&format!("cloudformation/{}", self.uuid)).u64(number).build()
    }
}
