use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use base::Timestamp;
use service::Fault;

/// Where the gateway listens, whom it lets in and how it is bounded.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Beyond loopback only with credentials.
    pub listen: SocketAddr,
    /// If any, every request must carry a valid signature of one of them (or of what [`Identities`] finds).
    pub credentials: Vec<Credential>,
    /// Largest body of a call; Lambda's own limit and S3's streams go beyond.
    pub body_bytes_max: usize,
    /// Sum of all larger bodies being held at once; beyond it calls are told to slow down.
    pub bodies_bytes_max: usize,
    /// Request line and headers together.
    pub header_bytes_max: usize,
    pub header_count_max: usize,
    /// Nesting of JSON input.
    pub json_depth_max: usize,
    /// Connections at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// Time to send a request's head, the wait between two requests included.
    pub header_timeout_ms: u64,
    /// Longest pause while a body arrives.
    pub body_pause_ms_max: u64,
    /// Longest pause of a peer that does not read its answer.
    pub write_pause_ms_max: u64,
    /// What running requests get to end after shutdown began.
    pub drain_timeout_ms: u64,
    /// Answered by the health check.
    pub version: String,
}

impl Default for GatewayOptions {
    fn default() -> GatewayOptions {
        GatewayOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4566)),
            credentials: Vec::new(),
            body_bytes_max: 16 * 1024 * 1024,
            bodies_bytes_max: 1024 * 1024 * 1024,
            header_bytes_max: 64 * 1024,
            header_count_max: 100,
            json_depth_max: 128,
            connections_max: 4096,
            header_timeout_ms: 75_000,
            body_pause_ms_max: 30_000,
            write_pause_ms_max: 60_000,
            drain_timeout_ms: 10_000,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl GatewayOptions {
    /// Without credentials anybody who reaches the port is let in, so only this machine may reach it.
    pub(crate) fn check_address(&self, address: SocketAddr) -> Result<(), GatewayError> {
        if self.credentials.is_empty() && !address.ip().is_loopback() {
            return Err(GatewayError::Open(address));
        }
        Ok(())
    }
}

/// An access key and whom it stands for.
#[derive(Clone)]
pub struct Credential {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Temporary credentials are only valid together with their token.
    pub session_token: Option<String>,
    /// The 12-digit account id.
    pub account: String,
    /// ARN of the caller.
    pub principal: String,
    pub expires: Option<Timestamp>,
}

impl Credential {
    /// A key of the account's root, that does not expire.
    pub fn root(access_key_id: &str, secret_access_key: &str, account: &str) -> Credential {
        Credential {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
            account: account.to_owned(),
            principal: format!("arn:aws:iam::{account}:root"),
            expires: None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Credential { access_key_id, account, principal, .. } = self;
        write!(f, "Credential({access_key_id}, {account}, {principal})")
    }
}

/// Finds access keys beyond the configured ones: those of IAM users and of assumed roles.
pub trait Identities: Send + Sync + 'static {
    /// Asked on every call with such a key: it must be quick and must not block.
    fn find(&self, access_key_id: &str) -> Result<Option<Credential>, Fault>;
}

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(
        "refuse to listen on {0}: beyond loopback anybody could call; configure credentials (access key, secret and \
         account) or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    #[error("listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("wire model '{0}': {1}")]
    Model(&'static str, serde_json::Error),
    #[error("credential {0}: {1}")]
    Credential(String, &'static str),
}
