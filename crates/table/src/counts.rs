use std::collections::BTreeMap;

use store::{Error, KeyReader, Range, Store};

use crate::key;

const VERSION: u8 = 1;

/// How many items there are and what they weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub items: i64,
    pub bytes: i64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.items += other.items;
        self.bytes += other.bytes;
    }
}

/// What one cell has counted of a table and its indexes. Negative where another cell counted the beginnings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub table: Count,
    pub indexes: BTreeMap<u64, Count>,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.table += other.table;
        for (id, count) in &other.indexes {
            *self.indexes.entry(*id).or_default() += *count;
        }
    }

    /// Adds what all cells have counted of a table.
    pub fn read_all(store: &dyn Store, table: u64) -> Result<Counts, Error> {
        let mut sum = Counts::default();
        for (_, value) in store.scan(&Range::prefix(&key::all_counts(table)))? {
            sum.add(&Counts::decode(&value)?);
        }
        Ok(sum)
    }

    pub fn index(&self, id: u64) -> Count {
        self.indexes.get(&id).copied().unwrap_or_default()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let mut put = |n: i64| out.extend_from_slice(&((n as u64) ^ (1 << 63)).to_be_bytes());
        put(self.table.items);
        put(self.table.bytes);
        for (id, count) in &self.indexes {
            put(i64::try_from(*id).expect("ids are small"));
            put(count.items);
            put(count.bytes);
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Counts, Error> {
        let mut reader = KeyReader::new(bytes);
        if reader.u8() != Ok(VERSION) {
            return Err(Error::Corrupt("counts of a table".to_owned()));
        }
        let mut counts = Counts { table: Count { items: reader.i64()?, bytes: reader.i64()? }, ..Counts::default() };
        while !reader.rest().is_empty() {
            let id = u64::try_from(reader.i64()?).map_err(|_| Error::Corrupt("counts of a table".to_owned()))?;
            counts.indexes.insert(id, Count { items: reader.i64()?, bytes: reader.i64()? });
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back() {
        let counts = Counts {
            table: Count { items: -3, bytes: 700 },
            indexes: BTreeMap::from([(4, Count { items: 1, bytes: -9 })]),
        };
        assert_eq!(Counts::decode(&counts.encode()), Ok(counts));
        assert!(Counts::decode(b"").is_err() && Counts::decode(b"\x01abc").is_err());
    }
}
