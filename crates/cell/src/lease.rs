use bytes::Bytes;
use store::{Batch, Error, Fence, Key, KeyReader, Store};

const LEASE_VERSION: u8 = 1;

/// The right to write a cell's state, until somebody else claims it.
///
/// Stored as a version byte and an epoch that grows with each claim. In one process a claim happens once, at start;
/// with several nodes the newest claim wins and older owners' batches are refused by their fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    key: Bytes,
    epoch: u64,
}

impl Lease {
    /// Takes the cell named `cell` over from whoever owned it. Blocks until that is durable.
    pub fn claim(store: &dyn Store, cell: &str) -> Result<Lease, Error> {
        let key: Bytes = Key::new("lease").str(cell).into();
        loop {
            let old = store.get(&key)?;
            let epoch = match &old {
                None => 1,
                Some(value) => Lease::read(value)? + 1,
            };
            let lease = Lease { key: key.clone(), epoch };
            let mut batch = Batch::new().fenced(Fence { key: key.clone(), value: old });
            batch.put(key.clone(), lease.value());
            match store.commit(batch).wait() {
                Ok(_) => return Ok(lease),
                Err(Error::Fenced) => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What makes a batch refuse itself when the lease is lost.
    pub fn fence(&self) -> Fence {
        Fence { key: self.key.clone(), value: Some(self.value()) }
    }

    fn value(&self) -> Bytes {
        let mut value = vec![LEASE_VERSION];
        value.extend_from_slice(&self.epoch.to_be_bytes());
        value.into()
    }

    fn read(value: &[u8]) -> Result<u64, Error> {
        let mut reader = KeyReader::new(value);
        match (reader.u8(), reader.u64()) {
            (Ok(LEASE_VERSION), Ok(epoch)) => Ok(epoch),
            _ => Err(Error::Corrupt("lease record".to_owned())),
        }
    }
}
