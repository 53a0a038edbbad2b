//! Open transactions: by id, bounded in number, ended when nobody uses them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, Entropy, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service::Fault;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::fault::{bad_request, no_transaction, unavailable};
use crate::{engine, postgres};

/// How long a transaction may lie idle.
const IDLE_MAX: Duration = Duration::from_secs(180);
/// How long a transaction may last.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a transaction has begun.
pub(crate) enum Live {
    Embedded(engine::Transaction),
    Postgres(Box<postgres::Transaction>),
}

/// The inside of a transaction, for whoever uses it now.
pub(crate) struct Inside {
    /// `None`: ended.
    pub live: Option<Live>,
    /// A statement failed: nothing but a rollback can follow.
    pub aborted: bool,
}

pub(crate) struct Open {
    resource_arn: String,
    begun_at: Timestamp,
    used_at_ms: AtomicI64,
    inside: Arc<AsyncMutex<Inside>>,
}

/// All open transactions.
pub(crate) struct Transactions {
    open: Mutex<BTreeMap<String, Arc<Open>>>,
    open_max: usize,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
}

impl Transactions {
    pub fn new(open_max: usize, clock: Arc<dyn Clock>, entropy: Arc<Entropy>) -> Transactions {
        Transactions { open: Mutex::default(), open_max, clock, entropy }
    }

    /// Whether one more may be opened.
    pub fn check_room(&self) -> Result<(), Fault> {
        self.sweep();
        let count = self.open.lock().unwrap_or_else(PoisonError::into_inner).len();
        if count < self.open_max {
            return Ok(());
        }
        Err(unavailable(format!("{count} transactions are open, more are not allowed")))
    }

    /// Takes a transaction in; its id is nothing that can be guessed.
    pub fn add(&self, resource_arn: &str, live: Live) -> String {
        let id = URL_SAFE_NO_PAD.encode(self.entropy.secret_bytes::<48>());
        let now = self.clock.now();
        let open = Open {
            resource_arn: resource_arn.to_owned(),
            begun_at: now,
            used_at_ms: AtomicI64::new(now.as_millis()),
            inside: Arc::new(AsyncMutex::new(Inside { live: Some(live), aborted: false })),
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Arc::new(open));
        id
    }

    /// The transaction, for one call alone.
    pub fn enter(&self, id: &str, resource_arn: &str) -> Result<OwnedMutexGuard<Inside>, Fault> {
        self.sweep();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let open = open.ok_or_else(|| no_transaction(id))?;
        if open.resource_arn != resource_arn {
            return Err(bad_request(format!("Transaction {id} belongs to another resource")));
        }
        let busy = |_| bad_request(format!("Transaction {id} is in use by another call"));
        let inside = open.inside.clone().try_lock_owned().map_err(busy)?;
        open.used_at_ms.store(self.clock.now().as_millis(), Ordering::Relaxed);
        if inside.live.is_some() { Ok(inside) } else { Err(no_transaction(id)) }
    }

    /// A call of the transaction has ended: its idle time begins anew.
    pub fn used(&self, id: &str) {
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            open.used_at_ms.store(self.clock.now().as_millis(), Ordering::Relaxed);
        }
    }

    pub fn remove(&self, id: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Ends everything that a cluster has open.
    pub fn remove_of(&self, resource_arn: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, open| open.resource_arn != resource_arn);
    }

    /// Ends what has lain idle or lasted too long. What is at work is not idle.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let expired = |open: &Open| {
            let used_at = Timestamp::from_millis(open.used_at_ms.load(Ordering::Relaxed));
            let idle = now.since(used_at) > IDLE_MAX && open.inside.try_lock().is_ok();
            idle || now.since(open.begun_at) > LIFETIME_MAX
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<String> = open.iter().filter(|(_, o)| expired(o)).map(|(id, _)| id.clone()).collect();
        // What is dropped rolls back as its connection closes.
        let dropped: Vec<_> = gone.iter().filter_map(|id| open.remove(id)).collect();
        drop(open);
        drop(dropped);
    }
}
