use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

/// Bytes of records that one cell keeps.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Larger records are read from the store.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// The newest bodies of a cell: most messages are received soon after they were sent.
#[derive(Debug, Default)]
pub(crate) struct BodyCache {
    records: HashMap<(u64, u64), Bytes>,
    order: VecDeque<(u64, u64)>,
    bytes: usize,
}

impl BodyCache {
    pub fn insert(&mut self, serial: u64, seq: u64, record: &Bytes) {
        if record.len() > RECORD_BYTES_MAX {
            return;
        }
        self.bytes += record.len();
        self.records.insert((serial, seq), record.clone());
        self.order.push_back((serial, seq));
        while self.bytes > BYTES_MAX
            && let Some((serial, seq)) = self.order.pop_front()
        {
            self.remove(serial, seq);
        }
        // Keys of records that were removed by name stay in the order until they are many.
        if self.order.len() > 2 * self.records.len() + 1024 {
            self.order.retain(|key| self.records.contains_key(key));
        }
    }

    pub fn get(&self, serial: u64, seq: u64) -> Option<Bytes> {
        self.records.get(&(serial, seq)).cloned()
    }

    pub fn remove(&mut self, serial: u64, seq: u64) {
        if let Some(record) = self.records.remove(&(serial, seq)) {
            self.bytes -= record.len();
        }
    }

    pub fn clear(&mut self) {
        *self = BodyCache::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_within_its_bounds() {
        let mut cache = BodyCache::default();
        let record = Bytes::from(vec![0; RECORD_BYTES_MAX]);
        let fit = (BYTES_MAX / RECORD_BYTES_MAX) as u64;
        for seq in 0..fit + 3 {
            cache.insert(1, seq, &record);
        }
        assert!(cache.get(1, 2).is_none() && cache.get(1, 3).is_some() && cache.bytes <= BYTES_MAX);
        cache.insert(1, 900, &Bytes::from(vec![0; RECORD_BYTES_MAX + 1]));
        assert!(cache.get(1, 900).is_none());
        for seq in 1000..20_000 {
            cache.insert(1, seq, &Bytes::from_static(b"x"));
            cache.remove(1, seq);
        }
        assert!(cache.order.len() < 2000 && cache.records.len() <= fit as usize);
    }
}
