//! Transactions, batches, bounds: the same over both engines where they have the same.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ARN, World};

/// Runs a test over both engines.
macro_rules! over_both {
    ($($name:ident($change:expr)),* $(,)?) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn embedded() {
                super::$name(&World::embedded_with($change).await).await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(world) = World::postgres($change).await {
                    super::$name(&world).await;
                }
            }
        })*
    };
}

over_both!(
    transactions_are_whole(|_| {}),
    a_failed_transaction_takes_only_a_rollback(|_| {}),
    idle_transactions_end(|_| {}),
    open_transactions_are_bounded(|o| o.transactions_max = 2),
    batches_are_whole(|_| {}),
    large_results_are_refused(|_| {}),
    slow_statements_are_stopped(|o| o.statement_timeout_ms = 200),
);

fn long(n: i64) -> Value {
    json!({"longValue": n})
}

async fn transactions_are_whole(world: &World) {
    world.sql("CREATE TABLE t (id int PRIMARY KEY)").await.unwrap();
    let kept = world.begin().await;
    world.sql_in(&kept, "INSERT INTO t VALUES (1)").await.unwrap();
    // Nobody else sees it, the transaction does.
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(0));
    let inside = world.sql_in(&kept, "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(inside["records"][0][0], long(1));
    let end = json!({"transactionId": kept});
    let answer = world.data("CommitTransaction", end.clone()).await.unwrap();
    assert_eq!(answer, json!({"transactionStatus": "Transaction Committed"}));
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(1));
    let again = world.data("CommitTransaction", end).await.unwrap_err();
    assert_eq!((again.code.as_str(), again.status), ("TransactionNotFoundException", 404));

    let dropped = world.begin().await;
    world.sql_in(&dropped, "DELETE FROM t").await.unwrap();
    let answer = world.data("RollbackTransaction", json!({"transactionId": dropped})).await.unwrap();
    assert_eq!(answer, json!({"transactionStatus": "Rollback Complete"}));
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(1));

    let other = json!({
        "DBClusterIdentifier": "other", "Engine": "aurora-postgresql", "MasterUsername": "tester",
        "MasterUserPassword": "password", "EnableHttpEndpoint": true,
    });
    world.rds("CreateDBCluster", other).await.unwrap();
    let id = world.begin().await;
    let input = json!({"transactionId": id, "sql": "SELECT 1", "resourceArn": ARN.replace("main", "other")});
    let fault = world.data("ExecuteStatement", input).await.unwrap_err();
    assert_eq!(fault.to_string(), format!("BadRequestException: Transaction {id} belongs to another resource"));
    for sql in ["BEGIN", "commit", "ROLLBACK TO x"] {
        assert_eq!(world.sql(sql).await.unwrap_err().code, "BadRequestException");
    }
}

async fn a_failed_transaction_takes_only_a_rollback(world: &World) {
    world.sql("CREATE TABLE t (id int PRIMARY KEY)").await.unwrap();
    let id = world.begin().await;
    world.sql_in(&id, "INSERT INTO t VALUES (1)").await.unwrap();
    let fault = world.sql_in(&id, "INSERT INTO t VALUES (1)").await.unwrap_err();
    assert!(fault.message.ends_with("SQLState: 23505"), "{fault}");
    let fault = world.sql_in(&id, "SELECT 1").await.unwrap_err();
    assert!(fault.message.ends_with("SQLState: 25P02"), "{fault}");
    let answer = world.data("CommitTransaction", json!({"transactionId": id})).await.unwrap();
    assert_eq!(answer, json!({"transactionStatus": "Rollback Complete"}));
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(0));
}

async fn idle_transactions_end(world: &World) {
    world.sql("CREATE TABLE t (id int)").await.unwrap();
    let id = world.begin().await;
    world.sql_in(&id, "INSERT INTO t VALUES (1)").await.unwrap();
    world.clock.advance(Duration::from_secs(179));
    world.sql_in(&id, "INSERT INTO t VALUES (2)").await.unwrap();
    world.clock.advance(Duration::from_secs(181));
    let fault = world.sql_in(&id, "SELECT 1").await.unwrap_err();
    assert_eq!(fault.to_string(), format!("TransactionNotFoundException: Transaction {id} is not found"));
    // Its writes are gone and it is in nobody's way.
    world.sql("INSERT INTO t VALUES (3)").await.unwrap();
    assert_eq!(world.one("SELECT sum(id) FROM t").await, long(3));

    let id = world.begin().await;
    for _ in 0..(24 * 3600 / 170) {
        world.sql_in(&id, "SELECT 1").await.unwrap();
        world.clock.advance(Duration::from_secs(170));
    }
    world.clock.advance(Duration::from_secs(170));
    assert_eq!(world.sql_in(&id, "SELECT 1").await.unwrap_err().code, "TransactionNotFoundException");
}

async fn open_transactions_are_bounded(world: &World) {
    let first = world.begin().await;
    world.begin().await;
    let fault = world.data("BeginTransaction", json!({})).await.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.status), ("ServiceUnavailableError", 503));
    world.data("RollbackTransaction", json!({"transactionId": first})).await.unwrap();
    world.begin().await;
}

async fn batches_are_whole(world: &World) {
    world.sql("CREATE TABLE t (id int PRIMARY KEY, name text)").await.unwrap();
    let set = |id: i64, name: &str| json!([{"name": "id", "value": {"longValue": id}}, {"name": "name", "value": {"stringValue": name}}]);
    let sql = "INSERT INTO t (id, name) VALUES (:id, :name)";
    let batch = |sets: Vec<Value>| json!({"sql": sql, "parameterSets": sets});
    let answer = world.data("BatchExecuteStatement", batch(vec![set(1, "a"), set(2, "b")])).await.unwrap();
    assert_eq!(answer, json!({"updateResults": [{"generatedFields": []}, {"generatedFields": []}]}));
    let fault = world.data("BatchExecuteStatement", batch(vec![set(3, "c"), set(1, "again")])).await.unwrap_err();
    assert!(fault.message.ends_with("SQLState: 23505"), "{fault}");
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(2));
    // Without sets it runs once.
    let answer = world.data("BatchExecuteStatement", json!({"sql": "DELETE FROM t"})).await.unwrap();
    assert_eq!(answer, json!({"updateResults": []}));
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(0));
    // Within a transaction it is part of that.
    let id = world.begin().await;
    let mut inside = batch(vec![set(1, "a"), set(2, "b")]);
    inside["transactionId"] = id.as_str().into();
    world.data("BatchExecuteStatement", inside).await.unwrap();
    world.data("RollbackTransaction", json!({"transactionId": id})).await.unwrap();
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(0));
}

async fn large_results_are_refused(world: &World) {
    world.sql("CREATE TABLE t (x text)").await.unwrap();
    let insert = json!({
        "sql": "INSERT INTO t VALUES (:x)",
        "parameterSets": vec![json!([{"name": "x", "value": {"stringValue": "x".repeat(300_000)}}]); 4],
    });
    world.data("BatchExecuteStatement", insert).await.unwrap();
    let fault = world.sql("SELECT x FROM t").await.unwrap_err();
    let message = "BadRequestException: Database returned more than the allowed response size limit";
    assert_eq!(fault.to_string(), message);
    assert_eq!(world.sql("SELECT x FROM t LIMIT 3").await.unwrap()["records"].as_array().unwrap().len(), 3);
    let long = format!("SELECT '{}'", "x".repeat(65_536));
    assert_eq!(world.sql(&long).await.unwrap_err().code, "BadRequestException");
}

async fn slow_statements_are_stopped(world: &World) {
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) \
                SELECT max(i) FROM n";
    assert_eq!(world.sql(slow).await.unwrap_err().to_string(), "StatementTimeoutException: Request timed out");
    assert_eq!(world.one("SELECT 1").await, long(1));
    let id = world.begin().await;
    assert_eq!(world.sql_in(&id, slow).await.unwrap_err().code, "StatementTimeoutException");
    world.data("RollbackTransaction", json!({"transactionId": id})).await.unwrap();
}

#[tokio::test]
async fn writers_wait_for_each_other_but_not_for_ever() {
    let world = World::embedded_with(|o| o.statement_timeout_ms = 200).await;
    world.sql("CREATE TABLE t (id int)").await.unwrap();
    let id = world.begin().await;
    world.sql_in(&id, "INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(world.sql("INSERT INTO t VALUES (2)").await.unwrap_err().code, "StatementTimeoutException");
    assert_eq!(world.one("SELECT count(*) FROM t").await, long(0));
    let waiting = world.sql("INSERT INTO t VALUES (3)");
    let committing = world.data("CommitTransaction", json!({"transactionId": id}));
    let (waited, committed) = futures::future::join(waiting, committing).await;
    waited.unwrap();
    committed.unwrap();
    assert_eq!(world.one("SELECT sum(id) FROM t").await, long(4));
}

#[tokio::test]
async fn many_writers_lose_nothing() {
    let world = World::embedded_with(|o| o.threads_max = 2).await;
    world.sql("CREATE TABLE t (n int)").await.unwrap();
    world.sql("INSERT INTO t VALUES (0)").await.unwrap();
    let writes = (0..40).map(|_| world.sql("UPDATE t SET n = n + 1"));
    for result in futures::future::join_all(writes).await {
        result.unwrap();
    }
    assert_eq!(world.one("SELECT n FROM t").await, long(40));
}

#[tokio::test]
async fn a_transaction_that_read_old_rows_does_not_write_over_new_ones() {
    let world = World::embedded().await;
    world.sql("CREATE TABLE t (n int)").await.unwrap();
    world.sql("INSERT INTO t VALUES (1)").await.unwrap();
    let id = world.begin().await;
    world.sql_in(&id, "SELECT n FROM t").await.unwrap();
    world.sql("UPDATE t SET n = 5").await.unwrap();
    let fault = world.sql_in(&id, "UPDATE t SET n = n + 1").await.unwrap_err();
    let message = "ERROR: could not serialize access due to concurrent update; SQLState: 40001";
    assert_eq!((fault.code.as_str(), fault.message.as_str()), ("DatabaseErrorException", message));
}

#[tokio::test]
async fn what_a_call_needs_is_checked() {
    let world = World::embedded().await;
    world.secrets.lock().unwrap().push(("bad".to_owned(), "no json".to_owned()));
    let closed = json!({
        "DBClusterIdentifier": "closed", "Engine": "aurora-postgresql", "MasterUsername": "tester",
        "MasterUserPassword": "password",
    });
    world.rds("CreateDBCluster", closed).await.unwrap();
    let closed = ARN.replace("main", "closed");
    for (input, wanted) in [
        (json!({"sql": "select 1", "resourceArn": null}), "BadRequestException: resourceArn is missing"),
        (json!({"sql": "select 1", "secretArn": null}), "BadRequestException: secretArn is missing"),
        (json!({}), "BadRequestException: sql is missing"),
        (json!({"sql": "select 1", "resourceArn": "x"}), "BadRequestException: Invalid resourceArn: x"),
        (
            json!({"sql": "select 1", "resourceArn": ARN.replace("main", "none")}),
            "BadRequestException: DB cluster arn:aws:rds:us-east-1:000000000000:cluster:none is not found",
        ),
        (
            json!({"sql": "select 1", "resourceArn": closed}),
            "HttpEndpointNotEnabledException: HttpEndpoint is not enabled for cluster closed. Please refer to the user \
             guide.",
        ),
        (
            json!({"sql": "select 1", "secretArn": "none"}),
            "SecretsErrorException: Error fetching secret none : Secrets Manager can't find the specified secret.",
        ),
        (
            json!({"sql": "select 1", "secretArn": "bad"}),
            "InvalidSecretException: The secret bad must be JSON with username and password",
        ),
        (
            json!({"sql": "select 1", "database": "none"}),
            "DatabaseErrorException: FATAL: database \"none\" does not exist; SQLState: 3D000",
        ),
        (json!({"sql": "select 1", "formatRecordsAs": "XML"}), "BadRequestException: Invalid formatRecordsAs: XML"),
    ] {
        assert_eq!(world.data("ExecuteStatement", input.clone()).await.unwrap_err().to_string(), wanted, "{input}");
    }
    let fault = world.data("ExecuteSql", json!({"sqlStatements": "select 1"})).await.unwrap_err();
    assert_eq!(fault.code, "BadRequestException");
    world.sql("CREATE DATABASE made").await.unwrap();
    world.data("ExecuteStatement", json!({"sql": "create table t (a int)", "database": "made"})).await.unwrap();
    assert!(world.sql("select * from t").await.is_err());
}
