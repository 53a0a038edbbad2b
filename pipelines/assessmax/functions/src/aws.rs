//! Clients from the environment that Lambda gives: region, credentials, and where an endpoint is set, that one.

use std::fmt::Display;
use std::time::Duration;

use assessmax_core::failure::{Failure, Kind};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{Builder, tls};
use aws_types::SdkConfig;

const CALL_ATTEMPTS_MAX: u32 = 5;
const BACKOFF_INITIAL: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a paused database takes to wake up.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// A variable that must be set.
pub(crate) fn variable(name: &str) -> Result<String, Failure> {
    optional(name).ok_or_else(|| Failure::new(Kind::Misconfigured, format!("the variable {name} is not set")))
}

/// A variable that may be unset or empty.
pub(crate) fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn s3() -> Result<aws_sdk_s3::Client, Failure> {
    let config = config("S3")?;
    // An endpoint of one's own need not answer to bucket names as host names.
    let path_style = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(path_style).build();
    Ok(aws_sdk_s3::Client::from_conf(config))
}

pub(crate) fn dynamodb() -> Result<aws_sdk_dynamodb::Client, Failure> {
    Ok(aws_sdk_dynamodb::Client::new(&config("DYNAMODB")?))
}

pub(crate) fn sfn() -> Result<aws_sdk_sfn::Client, Failure> {
    Ok(aws_sdk_sfn::Client::new(&config("SFN")?))
}

pub(crate) fn rdsdata() -> Result<aws_sdk_rdsdata::Client, Failure> {
    Ok(aws_sdk_rdsdata::Client::new(&config("RDS_DATA")?))
}

fn config(service: &str) -> Result<SdkConfig, Failure> {
    let endpoint = optional(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| optional("AWS_ENDPOINT_URL"));
    let region = optional("AWS_REGION").or_else(|| optional("AWS_DEFAULT_REGION"));
    let region =
        region.ok_or_else(|| Failure::new(Kind::Misconfigured, "the variable AWS_REGION is not set".to_owned()))?;
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let plain = endpoint.as_ref().is_some_and(|e| e.starts_with("http://"));
    let http = if plain {
        Builder::new().build_http()
    } else {
        Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https()
    };
    let retries = RetryConfig::standard()
        .with_max_attempts(CALL_ATTEMPTS_MAX)
        .with_initial_backoff(BACKOFF_INITIAL)
        .with_max_backoff(BACKOFF_MAX);
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts);
    config.set_endpoint_url(endpoint);
    Ok(config.build())
}

/// What a failed call means for the step: a lack of permission stays, anything else may pass.
pub(crate) fn failed<E, R>(what: impl Display, error: &SdkError<E, R>) -> Failure
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let kind = match code {
        Some("AccessDenied" | "AccessDeniedException" | "ForbiddenException" | "NoSuchBucket") => Kind::Misconfigured,
        _ => Kind::Unavailable,
    };
    let said = error.as_service_error().and_then(ProvideErrorMetadata::message);
    let message = match (code, said) {
        (Some(code), Some(said)) => format!("{what}: {code}: {said}"),
        (Some(code), None) => format!("{what}: {code}"),
        _ => format!("{what}: {}", DisplayErrorContext(error)),
    };
    Failure::new(kind, message)
}
