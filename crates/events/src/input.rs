//! What callers say of a connection, checked; and the two halves it becomes: what is shown, and what is secret.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use service::Fault;

use crate::check::Checks;

pub(crate) const AUTHORIZATION_TYPES: &[&str] = &["BASIC", "OAUTH_CLIENT_CREDENTIALS", "API_KEY"];
const HTTP_METHODS: &[&str] = &["GET", "POST", "PUT"];
const PARAMETERS_MAX: usize = 100;

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AuthParameters {
    basic_auth_parameters: Option<Basic>,
    #[serde(rename = "OAuthParameters")]
    oauth_parameters: Option<OAuth>,
    api_key_auth_parameters: Option<ApiKey>,
    invocation_http_parameters: Option<HttpParameters>,
    connectivity_parameters: Option<Value>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Basic {
    username: Option<String>,
    password: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApiKey {
    api_key_name: Option<String>,
    api_key_value: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OAuth {
    client_parameters: Option<Client>,
    authorization_endpoint: Option<String>,
    http_method: Option<String>,
    #[serde(rename = "OAuthHttpParameters")]
    oauth_http_parameters: Option<HttpParameters>,
}

#[derive(Clone, Deserialize)]
struct Client {
    #[serde(rename = "ClientID")]
    client_id: Option<String>,
    #[serde(rename = "ClientSecret")]
    client_secret: Option<String>,
}

/// Headers, query and body that are added to each call.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"))]
pub(crate) struct HttpParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    header_parameters: Option<Vec<Parameter>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_string_parameters: Option<Vec<Parameter>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_parameters: Option<Vec<Parameter>>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"))]
struct Parameter {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    is_value_secret: bool,
}

impl HttpParameters {
    fn lists(&self) -> [(&'static str, &Option<Vec<Parameter>>); 3] {
        [
            ("HeaderParameters", &self.header_parameters),
            ("QueryStringParameters", &self.query_string_parameters),
            ("BodyParameters", &self.body_parameters),
        ]
    }

    fn check(&self, checks: &mut Checks, member: &str) {
        for (list, parameters) in self.lists() {
            let Some(parameters) = parameters else { continue };
            let member = format!("{member}.{}", small(list));
            checks.count(parameters.len(), &member, PARAMETERS_MAX);
            if list == "BodyParameters" {
                continue;
            }
            for (i, Parameter { key, value, .. }) in parameters.iter().enumerate() {
                let member = format!("{member}.{}.member", i + 1);
                checks.length(key, &format!("{member}.key"), 0, 512, false);
                checks.length(value, &format!("{member}.value"), 0, 512, true);
                if list == "HeaderParameters" {
                    let token = |text: &str| {
                        !text.is_empty()
                            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
                    };
                    checks.pattern(key, &format!("{member}.key"), "^[!#$%&'*+-.^_`|~0-9a-zA-Z]+$", false, token);
                    let pattern = "^[ \\t]*[\\x20-\\x7E]+([ \\t]+[\\x20-\\x7E]+)*[ \\t]*$";
                    checks.pattern(value, &format!("{member}.value"), pattern, true, |text| {
                        !text.is_empty() && text.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
                    });
                } else {
                    checks.pattern(key, &format!("{member}.key"), "[^\\x00-\\x1F\\x7F]+", false, |text| {
                        !text.is_empty() && text.bytes().all(|b| b >= 0x20 && b != 0x7f)
                    });
                }
            }
        }
    }

    /// As DescribeConnection shows them.
    fn shown(&self) -> Value {
        let show = |parameter: &Parameter| match parameter.is_value_secret {
            true => json!({"Key": parameter.key, "IsValueSecret": true}),
            false => json!({"Key": parameter.key, "Value": parameter.value, "IsValueSecret": false}),
        };
        let lists = self.lists().into_iter();
        let shown = lists.filter_map(|(name, list)| Some((name, list.as_ref()?.iter().map(show).collect::<Value>())));
        shown.map(|(name, list)| (name.to_owned(), list)).collect::<Map<_, _>>().into()
    }
}

/// A connection's parameters: what is shown of them, and the secret's JSON.
pub(crate) struct Halves {
    pub shown: Value,
    pub secret: Map<String, Value>,
}

impl AuthParameters {
    /// Reads the parameters for `authorization_type`. With `old`, what is not said stays as it was.
    pub fn read(&self, authorization_type: &str, old: Option<Halves>) -> Result<Halves, Fault> {
        if self.connectivity_parameters.is_some() {
            return Err(Fault::validation("connections to private APIs (ConnectivityParameters) are not supported"));
        }
        let (mut shown, mut secret) = match old {
            Some(Halves { shown: Value::Object(shown), secret }) => (shown, secret),
            _ => (Map::new(), Map::new()),
        };
        let mut checks = Checks::default();
        match authorization_type {
            "BASIC" => self.read_basic(&mut checks, &mut shown, &mut secret),
            "API_KEY" => self.read_api_key(&mut checks, &mut shown, &mut secret),
            _ => self.read_oauth(&mut checks, &mut shown, &mut secret),
        }
        if let Some(parameters) = &self.invocation_http_parameters {
            parameters.check(&mut checks, "authParameters.invocationHttpParameters");
            shown.insert("InvocationHttpParameters".to_owned(), parameters.shown());
            secret
                .insert("invocation_http_parameters".to_owned(), serde_json::to_value(parameters).unwrap_or_default());
        }
        checks.done()?;
        Ok(Halves { shown: Value::Object(shown), secret })
    }

    fn read_basic(&self, checks: &mut Checks, shown: &mut Map<String, Value>, secret: &mut Map<String, Value>) {
        let member = "authParameters.basicAuthParameters";
        let given = self.basic_auth_parameters.clone().unwrap_or(Basic { username: None, password: None });
        let mut group = Group { checks, secret, member };
        let username = group.take(given.username, "username", "username", false);
        group.take(given.password, "password", "password", true);
        shown.insert("BasicAuthParameters".to_owned(), json!({"Username": username}));
    }

    fn read_api_key(&self, checks: &mut Checks, shown: &mut Map<String, Value>, secret: &mut Map<String, Value>) {
        let member = "authParameters.apiKeyAuthParameters";
        let given = self.api_key_auth_parameters.clone();
        let given = given.unwrap_or(ApiKey { api_key_name: None, api_key_value: None });
        let mut group = Group { checks, secret, member };
        let name = group.take(given.api_key_name, "api_key_name", "apiKeyName", false);
        group.take(given.api_key_value, "api_key_value", "apiKeyValue", true);
        shown.insert("ApiKeyAuthParameters".to_owned(), json!({"ApiKeyName": name}));
    }

    fn read_oauth(&self, checks: &mut Checks, shown: &mut Map<String, Value>, secret: &mut Map<String, Value>) {
        const ENDPOINT: &str = "^((%[0-9A-Fa-f]{2}|[-()_.!~*';/?:@\\x26=+$,A-Za-z0-9])+)([).!';/?:,])?$";
        let given = self.oauth_parameters.clone();
        let client = given.as_ref().and_then(|o| o.client_parameters.clone());
        let client = client.unwrap_or(Client { client_id: None, client_secret: None });
        let member = "authParameters.oAuthParameters";
        let mut group = Group { checks, secret, member };
        let client_id = group.take(client.client_id, "client_id", "clientParameters.clientID", false);
        group.take(client.client_secret, "client_secret", "clientParameters.clientSecret", true);
        let endpoint = given.as_ref().and_then(|o| o.authorization_endpoint.clone());
        let endpoint = group.keep(endpoint, "authorization_endpoint", "authorizationEndpoint");
        let method = given.as_ref().and_then(|o| o.http_method.clone());
        let method = group.keep(method, "http_method", "httpMethod");
        if let Some(endpoint) = &endpoint {
            let at = format!("{member}.authorizationEndpoint");
            checks.length(endpoint, &at, 1, 2048, false);
            checks.pattern(endpoint, &at, ENDPOINT, false, |text| {
                text.bytes().all(|b| b.is_ascii_alphanumeric() || b"%-()_.!~*';/?:@&=+$,".contains(&b))
            });
        }
        if let Some(method) = &method {
            checks.one_of(method, &format!("{member}.httpMethod"), HTTP_METHODS);
        }
        let old = shown.remove("OAuthParameters");
        let mut parameters = json!({
            "ClientParameters": {"ClientID": client_id},
            "AuthorizationEndpoint": endpoint,
            "HttpMethod": method,
        });
        if let Some(http) = given.and_then(|o| o.oauth_http_parameters) {
            http.check(checks, &format!("{member}.oAuthHttpParameters"));
            parameters["OAuthHttpParameters"] = http.shown();
            secret.insert("oauth_http_parameters".to_owned(), serde_json::to_value(&http).unwrap_or_default());
        } else if let Some(http) = old.as_ref().and_then(|old| old.get("OAuthHttpParameters")) {
            parameters["OAuthHttpParameters"] = http.clone();
        }
        shown.insert("OAuthParameters".to_owned(), parameters);
    }
}

/// The members of one kind of authorization.
struct Group<'a> {
    checks: &'a mut Checks,
    secret: &'a mut Map<String, Value>,
    member: &'static str,
}

impl Group<'_> {
    /// Puts what is given into the secret, or takes what is there; it must be there now.
    fn keep(&mut self, given: Option<String>, name: &str, member: &str) -> Option<String> {
        if let Some(given) = given {
            self.secret.insert(name.to_owned(), given.into());
        }
        let value = self.secret.get(name).and_then(Value::as_str).map(str::to_owned);
        self.checks.required(value.as_ref(), &format!("{}.{member}", self.member));
        value
    }

    /// The same for what becomes part of a header.
    fn take(&mut self, given: Option<String>, name: &str, member: &str, secret: bool) -> Option<String> {
        let value = self.keep(given, name, member)?;
        let at = format!("{}.{member}", self.member);
        self.checks.length(&value, &at, 1, 512, secret);
        let pattern = "^[ \\t]*[^\\x00-\\x1F:\\x7F]+([ \\t]+[^\\x00-\\x1F:\\x7F]+)*[ \\t]*$";
        let fits = |text: &str| text.bytes().all(|b| b == b'\t' || b >= 0x20 && b != 0x7f && b != b':');
        self.checks.pattern(&value, &at, pattern, secret, fits);
        Some(value)
    }
}

fn small(name: &str) -> String {
    name[..1].to_ascii_lowercase() + &name[1..]
}
