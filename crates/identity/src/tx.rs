use std::ops::Deref;

use base::{Entropy, Scope, Timestamp};
use bytes::Bytes;
use cell::Turn;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service::{Call, Fault};
use store::{Entry, Error, Key, Range, Store};

use crate::record;

/// Why an operation does not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller hears this.
    Fault(Fault),
    /// The store cannot be read; nothing is done.
    Store(Error),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Fault(fault)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Store(error)
    }
}

pub(crate) type Outcome<T> = Result<T, Failure>;

/// Where an operation reads: a turn of the cell, or the store beside it.
pub(crate) trait Source {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error>;
}

impl Source for Turn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Turn::get(self, key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        Turn::scan(self, range)
    }
}

pub(crate) struct Committed<'a>(pub &'a dyn Store);

impl Source for Committed<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.0.scan(range)
    }
}

/// What an operation that only reads is given.
pub(crate) struct View<'a> {
    source: &'a dyn Source,
    pub call: &'a Call,
    pub now: Timestamp,
    pub entropy: &'a Entropy,
}

impl<'a> View<'a> {
    pub fn new(source: &'a dyn Source, call: &'a Call, now: Timestamp, entropy: &'a Entropy) -> View<'a> {
        View { source, call, now, entropy }
    }

    pub fn scope(&self) -> &Scope {
        &self.call.scope
    }

    /// Seconds, as answers carry time.
    pub fn now_seconds(&self) -> f64 {
        self.now.as_seconds_f64()
    }

    pub fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, Error> {
        self.source.get(key.as_bytes())?.map(|bytes| record::read(&bytes)).transpose()
    }

    pub fn has(&self, key: &Key) -> Result<bool, Error> {
        Ok(self.source.get(key.as_bytes())?.is_some())
    }

    /// The records of all keys that begin with `prefix`, in key order.
    pub fn all<T: DeserializeOwned>(&self, prefix: &Key) -> Result<Vec<T>, Error> {
        self.range(&Range::prefix(prefix.as_bytes()))
            .and_then(|entries| entries.iter().map(|(_, value)| record::read(value)).collect())
    }

    pub fn range(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.source.scan(range)
    }

    pub fn count(&self, prefix: &Key) -> Result<usize, Error> {
        Ok(self.range(&Range::prefix(prefix.as_bytes()))?.len())
    }
}

/// What an operation that changes something is given. Its writes are kept apart until it has succeeded, so reads do
/// not see them.
pub(crate) struct Tx<'a> {
    view: View<'a>,
    pub(crate) writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Tx<'a> {
    pub fn new(view: View<'a>) -> Tx<'a> {
        Tx { view, writes: Vec::new() }
    }

    pub fn put(&mut self, key: Key, record: &impl Serialize) -> Result<(), Error> {
        self.writes.push((key.build(), Some(record::write(record)?)));
        Ok(())
    }

    pub fn delete(&mut self, key: Key) {
        self.writes.push((key.build(), None));
    }

    /// Deletes all keys that begin with `prefix`.
    pub fn delete_all(&mut self, prefix: &Key) -> Result<(), Error> {
        for (key, _) in self.view.range(&Range::prefix(prefix.as_bytes()))? {
            self.writes.push((key.to_vec(), None));
        }
        Ok(())
    }
}
