//! AWS Signature Version 4: reading it for account and region, and verifying it.

mod canonical;
mod read;
mod verify;

pub(crate) use read::Signature;
pub(crate) use verify::{Verifier, check_scope};

use service::Fault;

use crate::answer::Style;

/// Why a request is not let in. Each protocol has its own code for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    Incomplete(String),
    UnknownKey,
    TokenExpired,
    /// A presigned URL's time is over.
    UrlExpired,
    /// The signature is wrong, too old, from the future or for something else.
    Invalid(String),
}

impl Refusal {
    pub fn fault(&self, style: Style<'_>) -> Fault {
        let query = matches!(style, Style::Query(_));
        let message = match self {
            Refusal::Missing if query => "Request is missing Authentication Token".to_owned(),
            Refusal::Missing => "Missing Authentication Token".to_owned(),
            Refusal::UnknownKey => "The security token included in the request is invalid.".to_owned(),
            Refusal::TokenExpired => "The security token included in the request is expired".to_owned(),
            Refusal::UrlExpired => "Request has expired.".to_owned(),
            Refusal::Incomplete(message) | Refusal::Invalid(message) => message.clone(),
        };
        let code = match (self, query) {
            (Refusal::Missing, true) => "MissingAuthenticationToken",
            (Refusal::Missing, false) => "MissingAuthenticationTokenException",
            (Refusal::Incomplete(_), true) => "IncompleteSignature",
            (Refusal::Incomplete(_), false) => "IncompleteSignatureException",
            (Refusal::UnknownKey, true) => "InvalidClientTokenId",
            (Refusal::UnknownKey, false) => "UnrecognizedClientException",
            (Refusal::TokenExpired, true) => "ExpiredToken",
            (Refusal::TokenExpired, false) => "ExpiredTokenException",
            (Refusal::UrlExpired, true) => "RequestExpired",
            (Refusal::Invalid(_), true) => "SignatureDoesNotMatch",
            (Refusal::UrlExpired | Refusal::Invalid(_), false) => "InvalidSignatureException",
        };
        // The AWS JSON services answer 400, Query and REST ones 403.
        let status = if matches!(style, Style::Json(_) | Style::Cbor(_)) { 400 } else { 403 };
        Fault::with_status(status, code, message)
    }
}
