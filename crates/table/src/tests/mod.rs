//! The service as callers see it, on the memory store.

mod behaviour;
mod model;
mod scenarios;

use std::sync::Arc;

use base::{Clock, Entropy, ManualClock, Scope, Timestamp};
use serde_json::{Value, json};
use service::{Call, EffectId, Fault, Registry};
use store::{MemoryStore, Store};

use crate::{TableOptions, Tables};

/// A service on a store and a clock of its own.
pub(super) struct World {
    pub registry: Registry,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<ManualClock>,
}

impl World {
    pub async fn new() -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        World::on(Arc::new(MemoryStore::new()), clock).await
    }

    /// A new process on the same store.
    pub async fn on(store: Arc<MemoryStore>, clock: Arc<ManualClock>) -> World {
        let options = TableOptions { background_items_per_turn: 3, ..TableOptions::default() };
        let entropy = Arc::new(Entropy::from_seed(1));
        let (dyn_store, dyn_clock): (Arc<dyn Store>, Arc<dyn Clock>) = (store.clone(), clock.clone());
        let tables = Tables::start(dyn_store, dyn_clock, entropy, options).await.unwrap();
        let mut registry = Registry::new();
        registry.add(tables.service());
        World { registry, store, clock }
    }

    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r-1", "tester");
        self.registry.call_value("dynamodb", operation, call, input).await
    }

    /// As an outbox delivers it.
    pub async fn call_effect(&self, effect: &[u8], operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r-1", "tester").with_effect(EffectId::new(effect));
        self.registry.call_value("dynamodb", operation, call, input).await
    }

    pub async fn ok(&self, operation: &str, input: Value) -> Value {
        let shown = input.to_string();
        self.call(operation, input).await.unwrap_or_else(|f| panic!("{operation} {shown}: {f}"))
    }

    /// `Code: message` of a call that must fail.
    pub async fn error(&self, operation: &str, input: Value) -> String {
        let shown = input.to_string();
        match self.call(operation, input).await {
            Ok(output) => panic!("{operation} {shown}: {output}"),
            Err(fault) => fault.to_string(),
        }
    }

    /// A table of that name with the keys `pk` and `sk` (texts).
    pub async fn table(&self, name: &str) {
        let input = json!({
            "TableName": name,
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.ok("CreateTable", input).await;
    }
}

/// An item of such a table.
pub(super) fn item(pk: &str, sk: &str, n: i64) -> Value {
    json!({"pk": {"S": pk}, "sk": {"S": sk}, "n": {"N": n.to_string()}})
}

pub(super) fn key(pk: &str, sk: &str) -> Value {
    json!({"pk": {"S": pk}, "sk": {"S": sk}})
}
