use std::fmt;
use std::sync::Arc;

use base::Scope;

/// Who calls, for whom, and under which ids: what every operation is told beside its input.
#[derive(Clone, Debug)]
pub struct Call {
    /// Account and region, from the signature's scope.
    pub scope: Scope,
    /// Handed back to the caller in headers, and written to logs.
    pub request_id: Arc<str>,
    /// ARN of the caller, as STS would name it.
    pub principal: Arc<str>,
    /// `http://host:port` under which the caller reached us: what URLs in answers begin with.
    pub endpoint: Arc<str>,
    /// Set when one of our own outboxes calls: the receiver does this effect once, and answers a repeated
    /// delivery with what it answered the first.
    pub effect: Option<EffectId>,
}

impl Call {
    /// A call from within the product, such as an integration's or a mapping's.
    pub fn internal(scope: Scope, request_id: impl Into<Arc<str>>, principal: impl Into<Arc<str>>) -> Call {
        Call {
            scope,
            request_id: request_id.into(),
            principal: principal.into(),
            endpoint: Arc::from("http://127.0.0.1:4566"),
            effect: None,
        }
    }

    pub fn with_effect(mut self, effect: EffectId) -> Call {
        self.effect = Some(effect);
        self
    }
}

/// Names one entry of one cell's outbox, for ever: the key under which the sender stores it.
///
/// The receiver keeps it with its answer for as long as the sender's entry exists (see `cell::inbox`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EffectId(pub Arc<[u8]>);

impl EffectId {
    pub fn new(outbox_key: &[u8]) -> EffectId {
        EffectId(outbox_key.into())
    }

    /// A text form, for handing to functions and the outside as an idempotency id.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl fmt::Debug for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EffectId({})", self.to_hex())
    }
}
