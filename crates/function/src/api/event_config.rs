use std::sync::Arc;

use base::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::{listed, need, nothing, page, within};
use crate::Functions;
use crate::catalogue::record::EventInvokeRecord;
use crate::catalogue::{Editor, Function};
use crate::fault::{function_not_found, invalid_parameter, not_found};
use crate::name::{LATEST, Named};

const PAGE_ITEMS: usize = 50;
const DESTINATIONS: [&str; 4] = ["sqs", "sns", "lambda", "events"];

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EventConfigInput {
    function_name: Option<String>,
    qualifier: Option<String>,
    maximum_retry_attempts: Option<i64>,
    maximum_event_age_in_seconds: Option<i64>,
    destination_config: Option<Destinations>,
    marker: Option<String>,
    max_items: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destinations {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    destination: Option<String>,
}

impl EventConfigInput {
    fn parse(&self, call: &Call) -> Result<Named, Fault> {
        Named::parse(&call.scope, need(self.function_name.as_ref(), "functionName")?, self.qualifier.as_deref())
    }

    fn apply(&self, record: &mut EventInvokeRecord) -> Result<(), Fault> {
        if let Some(retries) = self.maximum_retry_attempts {
            record.retries_max = Some(within(retries, "maximumRetryAttempts", 0, 2)?);
        }
        if let Some(age) = self.maximum_event_age_in_seconds {
            record.age_s_max = Some(within(age, "maximumEventAgeInSeconds", 60, 21_600)?);
        }
        if let Some(config) = &self.destination_config {
            record.on_success = checked(config.on_success.as_ref())?;
            record.on_failure = checked(config.on_failure.as_ref())?;
        }
        Ok(())
    }
}

fn checked(destination: Option<&Destination>) -> Result<Option<String>, Fault> {
    let Some(given) = destination.and_then(|d| d.destination.clone()).filter(|d| !d.is_empty()) else {
        return Ok(None);
    };
    let arn = given.parse::<base::Arn>().ok();
    if arn.is_none_or(|a| !DESTINATIONS.contains(&a.service())) {
        return Err(invalid_parameter(format!(
            "The provided destination config DestinationConfig is invalid: {given} is no ARN of a queue, topic, function \
             or event bus"
        )));
    }
    Ok(Some(given))
}

/// The configuration's place in the record: the qualifier, `$LATEST` for none.
fn place(function: &Function, named: &Named) -> Result<String, Fault> {
    match function.target(named.qualifier.as_deref()) {
        Some(_) => Ok(named.qualifier.clone().unwrap_or_else(|| LATEST.to_owned())),
        None => Err(function_not_found(&named.arn())),
    }
}

fn shown(named: &Named, place: &str, record: &EventInvokeRecord) -> Value {
    let mut shown = json!({
        "LastModified": Timestamp::from_millis(record.modified_ms).as_seconds_f64(),
        "FunctionArn": named.key.qualified_arn(place),
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
    });
    if let Some(retries) = record.retries_max {
        shown["MaximumRetryAttempts"] = retries.into();
    }
    if let Some(age) = record.age_s_max {
        shown["MaximumEventAgeInSeconds"] = age.into();
    }
    for (name, arn) in [("OnSuccess", &record.on_success), ("OnFailure", &record.on_failure)] {
        if let Some(arn) = arn {
            shown["DestinationConfig"][name]["Destination"] = arn.as_str().into();
        }
    }
    shown
}

fn missing(named: &Named) -> Fault {
    not_found(format!("The function {} doesn't have an EventInvokeConfig", named.arn()))
}

pub(super) async fn put(functions: Arc<Functions>, call: Call, input: EventConfigInput) -> Result<Value, Fault> {
    store(functions, call, input, false).await
}

pub(super) async fn update(functions: Arc<Functions>, call: Call, input: EventConfigInput) -> Result<Value, Fault> {
    store(functions, call, input, true).await
}

async fn store(
    functions: Arc<Functions>,
    call: Call,
    input: EventConfigInput,
    must_exist: bool,
) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&named.key).ok_or_else(|| function_not_found(&named.arn()))?;
        let place = place(&old, &named)?;
        let mut record = match old.record.event_invoke.get(&place) {
            Some(record) if must_exist => record.clone(),
            None if must_exist => return Err(missing(&named)),
            _ => EventInvokeRecord::default(),
        };
        input.apply(&mut record)?;
        record.modified_ms = editor.now().as_millis();
        let answer = shown(&named, &place, &record);
        editor.put_function(&named.key, old.edited(|r| drop(r.event_invoke.insert(place, record))));
        Ok(answer)
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn get(functions: Arc<Functions>, call: Call, input: EventConfigInput) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let function = functions.catalogue.function(&named.key).ok_or_else(|| function_not_found(&named.arn()))?;
    let place = place(&function, &named)?;
    let record = function.record.event_invoke.get(&place).ok_or_else(|| missing(&named))?;
    Ok(shown(&named, &place, record))
}

pub(super) async fn delete(functions: Arc<Functions>, call: Call, input: EventConfigInput) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&named.key).ok_or_else(|| function_not_found(&named.arn()))?;
        let place = place(&old, &named)?;
        if !old.record.event_invoke.contains_key(&place) {
            return Err(missing(&named));
        }
        editor.put_function(&named.key, old.edited(|r| drop(r.event_invoke.remove(&place))));
        Ok(nothing())
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn list(functions: Arc<Functions>, call: Call, input: EventConfigInput) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let function = functions.catalogue.function(&named.key).ok_or_else(|| function_not_found(&named.arn()))?;
    let entries = function.record.event_invoke.iter().map(|(place, r)| (place.clone(), shown(&named, place, r)));
    let (items, next) = page(entries, input.marker.as_deref(), input.max_items, PAGE_ITEMS);
    Ok(listed("FunctionEventInvokeConfigs", items, next))
}
