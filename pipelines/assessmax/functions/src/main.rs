//! The five functions of AssessMax: one bootstrap, which does the step that `_HANDLER` names.
//!
//! Each step may run twice with the same input and then leaves the same behind: results have names that follow from
//! their input, and what several jobs write is written only over what was read. What a step decides is in
//! `assessmax_core`; this crate only fetches, stores and answers.

mod aggregation;
mod aws;
mod normalization;
mod objects;
mod publish;
mod scoring;
mod sql;
mod validate;

use std::future::Future;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use assessmax_core::failure::{Failure, Kind};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let handler = std::env::var("_HANDLER").unwrap_or_default();
    match handler.as_str() {
        "validate" => serve("validate", validate::Step::from_environment(), validate::Step::run).await,
        "normalization" => {
            serve("normalization", normalization::Step::from_environment(), normalization::Step::run).await
        }
        "scoring" => serve("scoring", scoring::Step::from_environment(), scoring::Step::run).await,
        "aggregation" => serve("aggregation", aggregation::Step::from_environment(), aggregation::Step::run).await,
        "publish" => serve("publish", publish::Step::from_environment(), publish::Step::run).await,
        other => {
            let message =
                format!("Handler \"{other}\" is none of validate, normalization, scoring, aggregation, publish");
            let failed: Result<(), Failure> = Err(Failure::new(Kind::Misconfigured, message));
            serve("unknown", failed, |(), _| std::future::ready(Ok(Value::Null))).await
        }
    }
}

/// Answers invocations one after the other. A step that cannot be set up says so in every answer.
async fn serve<'s, S, F, Fut>(name: &'static str, step: Result<S, Failure>, run: F) -> Result<(), Error>
where
    S: Clone + 's,
    F: Fn(S, Value) -> Fut,
    Fut: Future<Output = Result<Value, Failure>>,
{
    let (step, run) = (&step, &run);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let begun = Instant::now();
        let (payload, context) = event.into_parts();
        let about = about(&payload);
        let outcome = match step {
            Ok(step) => run(step.clone(), payload).await,
            Err(failure) => Err(failure.clone()),
        };
        let mut line = json!({
            "step": name,
            "requestId": context.request_id,
            "durationMs": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(job) = about {
            line["job"] = job;
        }
        if let Err(failure) = &outcome {
            line["error"] = failure.kind.name().into();
            line["message"] = failure.message.clone().into();
        }
        println!("{line}");
        outcome.map_err(|failure| Diagnostic {
            error_type: failure.kind.name().to_owned(),
            error_message: failure.message,
        })
    }))
    .await
}

/// The job that an event is about, for the log.
fn about(payload: &Value) -> Option<Value> {
    let places = ["/job/job_id", "/input/job_id", "/job_id"];
    places.iter().find_map(|place| payload.pointer(place)).cloned()
}

/// Reads an event of the state machine.
fn event<T: DeserializeOwned>(payload: Value) -> Result<T, Failure> {
    serde_json::from_value(payload)
        .map_err(|error| Failure::new(Kind::InvalidInput, format!("read the event: {error}")))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
