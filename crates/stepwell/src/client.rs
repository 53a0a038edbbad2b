//! A small client of a running server, for commands that talk to one.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client as Http, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Where the server is, and as whom to call it.
#[derive(clap::Args, Clone, Debug)]
pub struct EndpointFlags {
    /// The server
    #[arg(long, env = "AWS_ENDPOINT_URL", default_value = "http://127.0.0.1:4566", value_name = "URL")]
    pub endpoint_url: String,
    /// The region of what is called for
    #[arg(long, env = "AWS_REGION", default_value = base::DEFAULT_REGION)]
    pub region: String,
    /// A 12-digit access key is the account; servers with credentials need the AWS CLI, which signs
    #[arg(long, env = "AWS_ACCESS_KEY_ID", default_value = "test", hide_env_values = true)]
    pub access_key_id: String,
}

pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    flags: EndpointFlags,
}

/// An error that the server answered.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Answered {
    pub code: String,
    pub message: String,
}

impl Client {
    pub fn new(flags: EndpointFlags) -> Client {
        Client { http: Http::builder(TokioExecutor::new()).build_http(), flags }
    }

    /// Calls an operation of a service that speaks AWS JSON, such as `Logs_20140328.FilterLogEvents`.
    pub async fn call(&self, service: &str, target: &str, input: &Value) -> Result<Value> {
        let EndpointFlags { endpoint_url, region, access_key_id } = &self.flags;
        let scope = format!("{access_key_id}/20260101/{region}/{service}/aws4_request");
        let request = http::Request::post(endpoint_url)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=unsigned"),
            )
            .body(Full::from(input.to_string()))
            .with_context(|| format!("endpoint {endpoint_url}"))?;
        let answer = self.http.request(request).await;
        let answer =
            answer.map_err(|e| anyhow!("no server answers at {endpoint_url}: {e}; start one with `stepwell serve`"))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("read the answer")?.to_bytes();
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let code = text("__type").unwrap_or("UnknownError");
        let code = code.rsplit('#').next().unwrap_or(code).to_owned();
        let message = text("message").or(text("Message")).unwrap_or(status.as_str()).to_owned();
        Err(Answered { code, message }.into())
    }
}
