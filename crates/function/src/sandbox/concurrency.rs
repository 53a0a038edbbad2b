use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Scope;
use service::Fault;

/// Counts invocations under way against the account's and the functions' limits.
#[derive(Debug)]
pub(crate) struct Concurrency {
    account_max: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    unreserved: BTreeMap<Scope, u32>,
    functions: BTreeMap<Arc<str>, u32>,
}

/// The right to run one invocation; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit {
    counts: Arc<Concurrency>,
    taken: Taken,
}

#[derive(Debug)]
enum Taken {
    Unreserved(Scope),
    Reserved(Arc<str>),
}

/// The limits that apply to one function now.
pub(crate) struct Limits {
    /// The function's reservation.
    pub reserved: Option<u32>,
    /// The sum of all reservations in the account and region.
    pub reserved_total: u32,
}

impl Concurrency {
    pub fn new(account_max: u32) -> Arc<Concurrency> {
        Arc::new(Concurrency { account_max, state: Mutex::default() })
    }

    /// Takes a place for an invocation of the function `arn` (without version), or says which limit is reached.
    pub fn acquire(self: &Arc<Self>, scope: &Scope, arn: &Arc<str>, limits: &Limits) -> Result<Permit, Fault> {
        let mut state = self.lock();
        let taken = match limits.reserved {
            Some(reserved) => {
                let used = state.functions.entry(arn.clone()).or_default();
                if *used >= reserved {
                    return Err(throttled("ReservedFunctionConcurrentInvocationLimitExceeded"));
                }
                *used += 1;
                Taken::Reserved(arn.clone())
            }
            None => {
                let used = state.unreserved.entry(scope.clone()).or_default();
                if *used >= self.account_max.saturating_sub(limits.reserved_total) {
                    return Err(throttled("ConcurrentInvocationLimitExceeded"));
                }
                *used += 1;
                Taken::Unreserved(scope.clone())
            }
        };
        Ok(Permit { counts: self.clone(), taken })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.counts.lock();
        match &self.taken {
            Taken::Unreserved(scope) => give_back(&mut state.unreserved, scope),
            Taken::Reserved(arn) => give_back(&mut state.functions, arn),
        }
    }
}

fn give_back<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    let used = counts.get_mut(key).expect("a permit was counted");
    *used -= 1;
    if *used == 0 {
        counts.remove(key);
    }
}

/// `TooManyRequestsException` as Invoke answers it.
pub(crate) fn throttled(reason: &str) -> Fault {
    Fault::with_status(429, "TooManyRequestsException", "Rate Exceeded.")
        .member("Reason", reason)
        .member("Type", "User")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact() {
        let counts = Concurrency::new(10);
        let (scope, arn): (Scope, Arc<str>) = (Scope::default(), "f".into());
        let reserved = Limits { reserved: Some(2), reserved_total: 2 };
        let held: Vec<_> = (0..2).map(|_| counts.acquire(&scope, &arn, &reserved).unwrap()).collect();
        let fault = counts.acquire(&scope, &arn, &reserved).unwrap_err();
        assert_eq!((fault.status, &*fault.code), (429, "TooManyRequestsException"));
        assert_eq!(fault.members["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
        let other = Limits { reserved: None, reserved_total: 2 };
        let more: Vec<_> = (0..8).map(|_| counts.acquire(&scope, &"g".into(), &other).unwrap()).collect();
        assert!(counts.acquire(&scope, &"g".into(), &other).is_err());
        drop((held, more));
        assert!(counts.acquire(&scope, &arn, &reserved).is_ok());
        let none = Limits { reserved: Some(0), reserved_total: 0 };
        assert!(counts.acquire(&scope, &arn, &none).is_err());
    }
}
