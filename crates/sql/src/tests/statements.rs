//! Statements and what they give, as data: `tests/data/*.json`, the same over both engines.

use serde::Deserialize;
use serde_json::Value;

use super::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    sql: String,
    /// Further members of the input.
    #[serde(default)]
    with: serde_json::Map<String, Value>,
    /// Only over this engine.
    #[serde(default)]
    only: Option<String>,
    /// `records` of the answer.
    #[serde(default)]
    records: Option<Value>,
    /// `numberOfRecordsUpdated` of an answer without records.
    #[serde(default)]
    updated: Option<u64>,
    /// The whole answer.
    #[serde(default)]
    answer: Option<Value>,
    /// What `Code: message` begins with.
    #[serde(default)]
    error: Option<String>,
}

async fn run(world: &World, engine: &str, text: &str) {
    let file: File = serde_json::from_str(text).unwrap();
    let mut failed = 0;
    for step in file.steps.iter().filter(|s| s.only.as_deref().is_none_or(|o| o == engine)) {
        let mut input = step.with.clone();
        input.insert("sql".to_owned(), step.sql.as_str().into());
        let found = world.data("ExecuteStatement", Value::Object(input)).await;
        let fits = match &found {
            Ok(answer) => {
                step.error.is_none()
                    && step.records.as_ref().is_none_or(|r| answer.get("records") == Some(r))
                    && step.answer.as_ref().is_none_or(|a| a == answer)
                    && step.updated.is_none_or(|n| {
                        *answer == serde_json::json!({"generatedFields": [], "numberOfRecordsUpdated": n})
                    })
            }
            Err(fault) => step.error.as_ref().is_some_and(|e| fault.to_string().starts_with(e.as_str())),
        };
        if !fits {
            failed += 1;
            println!("{}\n  found {}", step.sql, found.map_or_else(|f| f.to_string(), |v| v.to_string()));
        }
    }
    assert_eq!(failed, 0);
}

const FILES: [&str; 2] =
    [include_str!("../../tests/data/statements.json"), include_str!("../../tests/data/dialect.json")];

#[tokio::test]
async fn statements_over_the_embedded_engine() {
    for text in FILES {
        run(&World::embedded().await, "embedded", text).await;
    }
}

#[tokio::test]
async fn statements_over_postgres() {
    for text in FILES {
        if let Some(world) = World::postgres(|_| {}).await {
            run(&world, "postgres", text).await;
        }
    }
}
