use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::schema::{boolean, json as any, object, objects, text};
use super::{Context, Failure, Made, NameRule, Property, Provider, put, text as get_text};

/// `AWS::Events::Connection`
pub struct Connection;

const GONE: [&str; 1] = ["ResourceNotFoundException"];
/// How often, and how far apart, it is looked whether a connection that is being deleted has gone.
const LOOKS_MAX: usize = 600;
const LOOK_PAUSE: Duration = Duration::from_millis(50);

const PARAMETER: &[Property] = &[boolean("IsValueSecret"), text("Key").required(), text("Value").required()];
const HTTP_PARAMETERS: &[Property] = &[
    objects("BodyParameters", PARAMETER),
    objects("HeaderParameters", PARAMETER),
    objects("QueryStringParameters", PARAMETER),
];
const AUTH_PARAMETERS: &[Property] = &[
    object("ApiKeyAuthParameters", &[text("ApiKeyName").required(), text("ApiKeyValue").required()]),
    object("BasicAuthParameters", &[text("Password").required(), text("Username").required()]),
    any("ConnectivityParameters"),
    object("InvocationHttpParameters", HTTP_PARAMETERS),
    object(
        "OAuthParameters",
        &[
            text("AuthorizationEndpoint").required(),
            object("ClientParameters", &[text("ClientID").required(), text("ClientSecret").required()]).required(),
            text("HttpMethod").required(),
            object("OAuthHttpParameters", HTTP_PARAMETERS),
        ],
    ),
];

async fn describe(ctx: &Context<'_>, name: &str) -> Result<Made, Failure> {
    let found = ctx.call("events", "DescribeConnection", json!({"Name": name})).await.map_err(Failure::from);
    let found = found.map_err(|failure| failure.made(name))?;
    let of = |member: &str| Value::from(get_text(&found, member).unwrap_or_default());
    let policy_arn = ctx.arn("events", &format!("connection/{name}")).as_str().into();
    let attributes = [("Arn", of("ConnectionArn")), ("ArnForPolicy", policy_arn), ("SecretArn", of("SecretArn"))];
    Ok(Made::new(name, attributes))
}

/// What the operations take, as the template has it.
fn input(name: &str, wanted: &Value) -> Value {
    let mut input = json!({"Name": name});
    for member in ["AuthorizationType", "AuthParameters", "Description", "KmsKeyIdentifier"] {
        if let Some(value) = wanted.get(member) {
            put(&mut input, member, value.clone());
        }
    }
    input
}

#[async_trait]
impl Provider for Connection {
    fn resource_type(&self) -> &'static str {
        "AWS::Events::Connection"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("events", "CreateConnection")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            object("AuthParameters", AUTH_PARAMETERS),
            text("AuthorizationType"),
            text("Description"),
            any("InvocationConnectivityParameters"),
            text("KmsKeyIdentifier"),
            text("Name").replaces(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "ArnForPolicy", "SecretArn"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "Name", bytes_max: 64, lower_case: false })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        if properties.get("InvocationConnectivityParameters").is_some()
            || properties.pointer("/AuthParameters/ConnectivityParameters").is_some()
        {
            return Err("connections to private APIs are not supported".to_owned());
        }
        Ok(())
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        match ctx.create("events", "CreateConnection", input(ctx.name, wanted)).await {
            Err(refusal) if ctx.retry && refusal.is(&["ResourceAlreadyExistsException"]) => {}
            answer => drop(answer?),
        }
        describe(ctx, ctx.name).await
    }

    async fn update(&self, ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let mut input = input(name, wanted);
        // What the operation is not told stays.
        if old.get("Description").is_some() && wanted.get("Description").is_none() {
            put(&mut input, "Description", "");
        }
        let parameters = "/AuthParameters/InvocationHttpParameters";
        if old.pointer(parameters).is_some()
            && wanted.pointer(parameters).is_none()
            && let Some(auth) = input.get_mut("AuthParameters")
        {
            put(auth, "InvocationHttpParameters", json!({}));
        }
        ctx.call("events", "UpdateConnection", input).await?;
        describe(ctx, name).await
    }

    async fn delete(&self, ctx: &Context<'_>, name: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"Name": name});
        // An earlier attempt's deletion may be under way.
        let done = ["ResourceNotFoundException", "ConcurrentModificationException"];
        ctx.call_unless("events", "DeleteConnection", input.clone(), &done).await?;
        for _ in 0..LOOKS_MAX {
            match ctx.call_unless("events", "DescribeConnection", input.clone(), &GONE).await? {
                Some(found) if get_text(&found, "ConnectionState") == Some("DELETING") => {}
                _ => return Ok(()),
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Err(Failure::new(format!("the connection {name} did not go in time")))
    }
}
