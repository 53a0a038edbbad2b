use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::need;
use crate::fault::constraint;
use crate::{Functions, InvocationType, InvokeRequest, LogType};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Invoke {
    function_name: Option<String>,
    qualifier: Option<String>,
    invocation_type: Option<String>,
    log_type: Option<String>,
    client_context: Option<String>,
    /// The payload's bytes in base64.
    payload: Option<String>,
}

pub(super) async fn invoke(functions: Arc<Functions>, call: Call, input: Invoke) -> Result<Value, Fault> {
    let request = InvokeRequest {
        scope: call.scope,
        function: need(input.function_name.as_ref(), "functionName")?.to_owned(),
        qualifier: input.qualifier,
        invocation_type: InvocationType::parse(input.invocation_type.as_deref())?,
        log_type: LogType::parse(input.log_type.as_deref())?,
        client_context: input.client_context,
        payload: decode(input.payload.as_deref())?,
        request_id: Some(call.request_id),
        effect: call.effect,
    };
    let response = functions.invoke(request).await?;
    let mut answer = json!({"StatusCode": response.status_code});
    if let Some(error) = response.function_error {
        answer["FunctionError"] = error.into();
    }
    if let Some(log) = response.log_result {
        answer["LogResult"] = log.into();
    }
    if let Some(version) = response.executed_version {
        answer["ExecutedVersion"] = version.into();
    }
    if response.status_code == 200 {
        answer["Payload"] = STANDARD.encode(&response.payload).into();
    }
    Ok(answer)
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InvokeAsync {
    function_name: Option<String>,
    invoke_args: Option<String>,
}

pub(super) async fn invoke_async(functions: Arc<Functions>, call: Call, input: InvokeAsync) -> Result<Value, Fault> {
    let request = InvokeRequest {
        invocation_type: InvocationType::Event,
        request_id: Some(call.request_id),
        effect: call.effect,
        payload: decode(input.invoke_args.as_deref())?,
        ..InvokeRequest::new(call.scope, need(input.function_name.as_ref(), "functionName")?)
    };
    let response = functions.invoke(request).await?;
    Ok(json!({"Status": response.status_code}))
}

fn decode(payload: Option<&str>) -> Result<Bytes, Fault> {
    let Some(text) = payload else { return Ok(Bytes::new()) };
    STANDARD.decode(text).map(Bytes::from).map_err(|e| constraint("(blob)", "payload", &format!("be base64: {e}")))
}
