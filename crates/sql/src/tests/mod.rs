//! The service as callers see it, over the embedded engine and, with `TEST_POSTGRES_URL`, over PostgreSQL.

mod behaviour;
mod clusters;
mod crash;
mod statements;

use std::sync::{Arc, Mutex};

use base::{Clock, Entropy, ManualClock, Scope, Timestamp};
use serde_json::{Value, json};
use service::{Call, EffectId, Fault, Registry};
use store::{MemoryStore, Store};

use crate::{SecretsCaller, Sql, SqlOptions};

pub(super) const ARN: &str = "arn:aws:rds:us-east-1:000000000000:cluster:main";
pub(super) const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db";

/// Secrets that were made and not dropped yet.
pub(super) type Secrets = Arc<Mutex<Vec<(String, String)>>>;

/// A service with a folder, a store and a clock of its own.
pub(super) struct World {
    pub registry: Registry,
    pub clock: Arc<ManualClock>,
    pub secrets: Secrets,
    pub store: Arc<dyn Store>,
    pub folder: Arc<tempfile::TempDir>,
    database: Option<String>,
}

fn secrets_manager(secrets: &Secrets) -> SecretsCaller {
    let secrets = secrets.clone();
    Arc::new(move |_, operation, input| {
        let id = input["SecretId"].as_str().or(input["Name"].as_str()).unwrap_or_default().to_owned();
        let mut secrets = secrets.lock().unwrap();
        let answer = match operation {
            "CreateSecret" => {
                secrets.push((id.clone(), input["SecretString"].as_str().unwrap().to_owned()));
                Ok(json!({"ARN": id}))
            }
            "DeleteSecret" => {
                secrets.retain(|(name, _)| *name != id);
                Ok(json!({}))
            }
            _ => match secrets.iter().find(|(name, _)| *name == id) {
                Some((_, text)) => Ok(json!({"SecretString": text})),
                None => {
                    Err(Fault::client("ResourceNotFoundException", "Secrets Manager can't find the specified secret."))
                }
            },
        };
        Box::pin(std::future::ready(answer))
    })
}

impl World {
    pub async fn start(
        store: Arc<dyn Store>,
        folder: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut SqlOptions),
    ) -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let secret = json!({"username": "tester", "password": "password"}).to_string();
        let secrets: Secrets = Arc::new(Mutex::new(vec![(SECRET.to_owned(), secret)]));
        let mut options = SqlOptions::new(folder.path());
        change(&mut options);
        let dyn_clock: Arc<dyn Clock> = clock.clone();
        let entropy = Arc::new(Entropy::from_seed(1));
        let sql = Sql::start(store.clone(), dyn_clock, entropy, secrets_manager(&secrets), options).await.unwrap();
        let mut registry = Registry::new();
        sql.services().into_iter().for_each(|s| registry.add(s));
        World { registry, clock, secrets, store, folder, database: None }
    }

    /// Over the embedded engine, with a cluster `main`.
    pub async fn embedded() -> World {
        World::embedded_with(|_| {}).await
    }

    pub async fn embedded_with(change: impl FnOnce(&mut SqlOptions)) -> World {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let world = World::start(Arc::new(MemoryStore::new()), folder, change).await;
        world.create_cluster().await;
        world
    }

    /// Over PostgreSQL, in a database of its own; `None`, with a notice, without `TEST_POSTGRES_URL`.
    pub async fn postgres(change: impl FnOnce(&mut SqlOptions)) -> Option<World> {
        let Ok(url) = std::env::var("TEST_POSTGRES_URL") else {
            println!("skipped: TEST_POSTGRES_URL names no PostgreSQL server");
            return None;
        };
        let (client, wire) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(wire);
        let database = format!("stepwell_{}", Entropy::from_os().uuid().replace('-', ""));
        client.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let with_url = |options: &mut SqlOptions| {
            options.postgres_url = Some(url);
            change(options);
        };
        let mut world = World::start(Arc::new(MemoryStore::new()), folder, with_url).await;
        world.database = Some(database);
        world.create_cluster().await;
        Some(world)
    }

    async fn create_cluster(&self) {
        let mut input = json!({
            "DBClusterIdentifier": "main", "Engine": "aurora-postgresql", "MasterUsername": "tester",
            "MasterUserPassword": "password", "EnableHttpEndpoint": true,
        });
        if let Some(database) = &self.database {
            input["DatabaseName"] = database.as_str().into();
        }
        self.rds("CreateDBCluster", input).await.unwrap();
    }

    pub async fn rds(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r-1", "tester");
        self.registry.call_value("rds", operation, call, input).await
    }

    pub async fn rds_effect(&self, effect: &[u8], operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r-1", "tester").with_effect(EffectId::new(effect));
        self.registry.call_value("rds", operation, call, input).await
    }

    /// A call of the Data API; cluster and secret are filled in.
    pub async fn data(&self, operation: &str, mut input: Value) -> Result<Value, Fault> {
        for (member, value) in [("resourceArn", ARN), ("secretArn", SECRET)] {
            if input.get(member).is_none() {
                input[member] = value.into();
            }
        }
        let call = Call::internal(Scope::default(), "r-1", "tester");
        self.registry.call_value("rds-data", operation, call, input).await
    }

    pub async fn sql(&self, sql: &str) -> Result<Value, Fault> {
        self.data("ExecuteStatement", json!({"sql": sql})).await
    }

    pub async fn sql_in(&self, transaction: &str, sql: &str) -> Result<Value, Fault> {
        self.data("ExecuteStatement", json!({"sql": sql, "transactionId": transaction})).await
    }

    pub async fn begin(&self) -> String {
        let answer = self.data("BeginTransaction", json!({})).await.unwrap();
        answer["transactionId"].as_str().unwrap().to_owned()
    }

    /// The only field of the only record.
    pub async fn one(&self, sql: &str) -> Value {
        self.sql(sql).await.unwrap()["records"][0][0].clone()
    }
}
