//! One keep-alive connection to the server.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub struct Client {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn connect(address: &str) -> Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with its connection; what went wrong shows in the next call.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Client { address: address.to_owned(), sender })
    }

    /// Calls an operation by `X-Amz-Target`, such as `AWSStepFunctions.StartExecution`.
    pub async fn call(&mut self, target: &str, input: &Value) -> Result<Value> {
        let request =
            Request::post("/").header("content-type", "application/x-amz-json-1.0").header("x-amz-target", target);
        self.send(request, input.to_string().into()).await
    }

    pub async fn post(&mut self, path: &str, input: &Value) -> Result<Value> {
        let authorization =
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0";
        let request =
            Request::post(path).header("content-type", "application/json").header("authorization", authorization);
        self.send(request, input.to_string().into()).await
    }

    async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Result<Value> {
        let request = request.header("host", &self.address).body(Full::new(body))?;
        self.sender.ready().await.context("connection")?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
    }
}
