//! Who an API is called as: an EventBridge connection and its secret.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use outbound::Request;
use serde_json::{Value, json};
use service::Call;

use super::{FORM_TYPE, form, runtime};
use crate::execution::Job;
use crate::task::{Dispatcher, TaskError};

/// Tokens that are remembered at once; one more forgets them all.
const TOKENS_MAX: usize = 1_000;
/// How long a token is used that says nothing of its end.
const TOKEN_SECONDS: i64 = 3_600;
/// How long before its end a token is no longer used.
const TOKEN_MARGIN_SECONDS: i64 = 60;

/// OAuth tokens by the version of the secret that they were asked for with.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<String, (String, Timestamp)>>);

/// What a connection adds to a request.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub headers: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    pub body: Vec<(String, String)>,
}

/// A connection with what is secret of it.
pub(super) struct Connection {
    authorization_type: String,
    secret: Value,
    /// Names this version of the secret.
    version: String,
    pub parameters: Parameters,
}

impl Connection {
    /// The connection that a task names.
    pub async fn find(dispatcher: &Dispatcher, job: &Job, parameters: &Value) -> Result<Connection, TaskError> {
        let arn = ["Authentication", "InvocationConfig"]
            .iter()
            .find_map(|field| parameters.get(field)?.get("ConnectionArn")?.as_str())
            .ok_or_else(|| runtime("The field 'ConnectionArn' is required but was missing"))?;
        let not_found = || failure("ResourceNotFound", format!("The connection {arn} does not exist."));
        let parsed: base::Arn = arn.parse().map_err(|_| not_found())?;
        let name = parsed.resource().strip_prefix("connection/").and_then(|rest| rest.split('/').next());
        let name = name.ok_or_else(not_found)?;
        let call = |operation: &'static str, service: &'static str, input: Value| {
            let call = Call::internal(parsed.scope(), dispatcher.entropy.uuid(), job.role_arn.clone());
            let registry = dispatcher.registry.get();
            async move {
                match registry {
                    Some(registry) => registry.call_value(service, operation, call, input).await,
                    None => Err(service::Fault::internal("the engine has not started")),
                }
            }
        };
        let internal = |fault: service::Fault| failure("InternalError", fault.to_string());
        let described = call("DescribeConnection", "events", json!({"Name": name})).await;
        let described = match described {
            Ok(described) if described["ConnectionArn"] == arn => described,
            Ok(_) => return Err(not_found()),
            Err(fault) if fault.is_retryable() => return Err(internal(fault)),
            Err(_) => return Err(not_found()),
        };
        let state = described["ConnectionState"].as_str().unwrap_or_default();
        let Some(secret_arn) = described["SecretArn"].as_str().filter(|_| state == "AUTHORIZED") else {
            return Err(failure("InvalidConnectionState", format!("The connection {arn} is {state}.")));
        };
        let input = json!({"SecretId": secret_arn});
        let secret = call("GetSecretValue", "secretsmanager", input).await.map_err(internal)?;
        let version = format!("{secret_arn}/{}", secret["VersionId"].as_str().unwrap_or_default());
        let secret: Value = serde_json::from_str(secret["SecretString"].as_str().unwrap_or_default())
            .map_err(|_| failure("InvalidConnectionState", "The connection's secret is not what it was made."))?;
        Ok(Connection {
            authorization_type: described["AuthorizationType"].as_str().unwrap_or_default().to_owned(),
            parameters: Parameters::of(&secret["invocation_http_parameters"]),
            secret,
            version,
        })
    }

    /// Whether requests are authorized by a token that can become invalid.
    pub fn has_token(&self) -> bool {
        self.authorization_type == "OAUTH_CLIENT_CREDENTIALS"
    }

    /// The request as whom the connection stands for; `anew` with a new token.
    pub async fn authorize(
        &self,
        dispatcher: &Dispatcher,
        mut request: Request,
        anew: bool,
    ) -> Result<Request, TaskError> {
        let (name, value) = match self.authorization_type.as_str() {
            "API_KEY" => (self.text("api_key_name").to_owned(), self.text("api_key_value").to_owned()),
            "BASIC" => {
                let pair = format!("{}:{}", self.text("username"), self.text("password"));
                ("Authorization".to_owned(), format!("Basic {}", STANDARD.encode(pair)))
            }
            _ => ("Authorization".to_owned(), format!("Bearer {}", self.token(dispatcher, anew).await?)),
        };
        request.headers.retain(|(given, _)| !given.eq_ignore_ascii_case(&name));
        request.headers.push((name, value));
        Ok(request)
    }

    fn text(&self, name: &str) -> &str {
        self.secret[name].as_str().unwrap_or_default()
    }

    /// An OAuth token, remembered until its end.
    async fn token(&self, dispatcher: &Dispatcher, anew: bool) -> Result<String, TaskError> {
        let now = dispatcher.clock.now();
        if !anew && let Some(token) = dispatcher.tokens.get(&self.version, now) {
            return Ok(token);
        }
        let refused = |why: &str| failure("InvalidConnectionState", format!("The authorization endpoint {why}."));
        let answer = super::call(dispatcher, self.token_request()).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refused(&format!("answered {} {}", answer.status, answer.reason)));
        }
        let answer: Value = serde_json::from_slice(&answer.body).map_err(|_| refused("did not answer JSON"))?;
        let token = answer["access_token"].as_str().ok_or_else(|| refused("answered no access_token"))?;
        let seconds = answer["expires_in"].as_i64().unwrap_or(TOKEN_SECONDS);
        let seconds = (seconds - TOKEN_MARGIN_SECONDS).clamp(0, 30 * 24 * 3_600);
        dispatcher.tokens.put(&self.version, token, Timestamp::from_millis(now.as_millis() + seconds * 1000));
        Ok(token.to_owned())
    }

    fn token_request(&self) -> Request {
        let Parameters { headers, query, mut body } = Parameters::of(&self.secret["oauth_http_parameters"]);
        if !body.iter().chain(&query).any(|(name, _)| name == "grant_type") {
            body.push(("grant_type".to_owned(), "client_credentials".to_owned()));
        }
        body.push(("client_secret".to_owned(), self.text("client_secret").to_owned()));
        body.push(("client_id".to_owned(), self.text("client_id").to_owned()));
        let method = self.text("http_method").to_owned();
        let pairs = |pairs: &[(String, String)]| {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| form::pair(name, value)).collect();
            pairs.join("&")
        };
        let endpoint = super::with_query(self.text("authorization_endpoint"), None, &query);
        if method == "GET" {
            let url = super::with_query(&endpoint, None, &body);
            return Request { method, url, headers, body: None };
        }
        let mut headers = headers;
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".to_owned(), FORM_TYPE.to_owned()));
        }
        Request { method, url: endpoint, headers, body: Some(Bytes::from(pairs(&body))) }
    }
}

impl Parameters {
    /// The parameters as the secret has them.
    fn of(secret: &Value) -> Parameters {
        let list = |name: &str| {
            let items = secret[name].as_array().into_iter().flatten();
            let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
            items.map(|item| (text(item, "key"), text(item, "value"))).collect()
        };
        Parameters {
            headers: list("header_parameters"),
            query: list("query_string_parameters"),
            body: list("body_parameters"),
        }
    }
}

impl Tokens {
    fn get(&self, version: &str, now: Timestamp) -> Option<String> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(version).filter(|(_, end)| *end > now).map(|(token, _)| token.clone())
    }

    fn put(&self, version: &str, token: &str, end: Timestamp) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        tokens.insert(version.to_owned(), (token.to_owned(), end));
    }
}

fn failure(name: &str, cause: impl Into<String>) -> TaskError {
    TaskError { error: format!("Events.ConnectionResource.{name}"), cause: cause.into() }
}
