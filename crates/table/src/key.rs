//! Where things lie in the store, and the order of their keys.
//!
//! All keys begin with the space `dynamodb` and a letter for what they hold. Items:
//! `i | table id | hash of the partition key (4) | its length (2) | it | sort key`. The hash comes first so that a
//! Scan can be cut into segments; within one partition items lie in the order of their sort keys. Entries of an index:
//! `x | table id | index id | the same of the index's keys | the item's own keys`, so that items with equal index keys
//! are apart. Entries of a TTL: `x | table id | index id | seconds | the item's own keys`.

use store::{Key, successor};

use crate::{AttributeValue, Item};

/// What a partition key may weigh.
pub(crate) const HASH_KEY_BYTES_MAX: usize = 2048;
/// What a sort key may weigh.
pub(crate) const RANGE_KEY_BYTES_MAX: usize = 1024;

const SPACE: &str = "dynamodb";

/// Numbers how many hashes there are: what segments of a Scan divide.
pub(crate) const HASHES: u64 = 1 << 32;

fn space(letter: u8) -> Key {
    Key::new(SPACE).u8(letter)
}

/// The definition of a table.
pub(crate) fn definition(account: &str, region: &str, name: &str) -> Vec<u8> {
    space(b'd').str(account).str(region).str(name).build()
}

/// What the definitions of all tables begin with.
pub(crate) fn definitions() -> Vec<u8> {
    space(b'd').build()
}

/// The next table id of a cell.
pub(crate) fn next_table_id(cell: &str) -> Vec<u8> {
    space(b'n').str(cell).build()
}

/// What all items of a table begin with.
pub(crate) fn items(table: u64) -> Vec<u8> {
    space(b'i').u64(table).build()
}

/// What all entries of an index begin with.
pub(crate) fn entries(table: u64, index: u64) -> Vec<u8> {
    space(b'x').u64(table).u64(index).build()
}

/// What all entries of all indexes of a table begin with.
pub(crate) fn all_entries(table: u64) -> Vec<u8> {
    space(b'x').u64(table).build()
}

/// What one cell has counted of a table.
pub(crate) fn counts(table: u64, cell: &str) -> Vec<u8> {
    space(b's').u64(table).str(cell).build()
}

/// What all cells' counts of a table begin with.
pub(crate) fn all_counts(table: u64) -> Vec<u8> {
    space(b's').u64(table).build()
}

/// The size of an item collection of a table with local indexes.
pub(crate) fn collection(table: u64, partition: &AttributeValue) -> Vec<u8> {
    let mut key = collections(table);
    push_hash_key(&mut key, partition);
    key
}

/// What the sizes of all item collections of a table begin with.
pub(crate) fn collections(table: u64) -> Vec<u8> {
    space(b'c').u64(table).build()
}

/// Data of a deleted table or index that a cell still has to remove.
pub(crate) fn purge(cell: &str, table: u64, index: u64) -> Vec<u8> {
    space(b'p').str(cell).u64(table).u64(index).build()
}

/// What all purges of a cell begin with.
pub(crate) fn purges(cell: &str) -> Vec<u8> {
    space(b'p').str(cell).build()
}

/// A transaction's client token.
pub(crate) fn token(cell: &str, account: &str, region: &str, token: &str) -> Vec<u8> {
    space(b'k').str(cell).str(account).str(region).str(token).build()
}

/// A client token by the time it was used.
pub(crate) fn token_by_time(cell: &str, millis: i64, token_key: &[u8]) -> Vec<u8> {
    space(b'l').str(cell).i64(millis).bytes(token_key).build()
}

/// What all client tokens of a cell begin with, by time.
pub(crate) fn tokens_by_time(cell: &str) -> Vec<u8> {
    space(b'l').str(cell).build()
}

/// The key of the item with these key attributes.
pub(crate) fn item(table: u64, partition: &AttributeValue, sort: Option<&AttributeValue>) -> Vec<u8> {
    let mut key = items(table);
    push_hash_key(&mut key, partition);
    if let Some(sort) = sort {
        push_sort_key(&mut key, sort);
    }
    key
}

/// The bytes of a key attribute without order: what its partition is found by.
fn plain(value: &AttributeValue) -> std::borrow::Cow<'_, [u8]> {
    match value {
        AttributeValue::S(text) => text.as_bytes().into(),
        AttributeValue::B(bytes) => bytes.as_slice().into(),
        AttributeValue::N(number) => {
            let mut out = Vec::with_capacity(24);
            number.sort_key(&mut out);
            out.into()
        }
        // Key attributes are checked to be texts, numbers or bytes before they come here.
        _ => unreachable!("a key attribute of type {}", value.kind().name()),
    }
}

fn push_plain(key: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("key attributes are bounded");
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(bytes);
}

/// The hash that decides where in a Scan a partition comes.
pub(crate) fn partition_hash(partition: &AttributeValue) -> u32 {
    let hash = cell::shard_of(&plain(partition), usize::try_from(HASHES).expect("64-bit machine"));
    u32::try_from(hash).expect("below 2^32")
}

pub(crate) fn push_hash_key(key: &mut Vec<u8>, partition: &AttributeValue) {
    key.extend_from_slice(&partition_hash(partition).to_be_bytes());
    push_plain(key, &plain(partition));
}

/// Appends a sort key: in order, and never a prefix of another.
pub(crate) fn push_sort_key(key: &mut Vec<u8>, sort: &AttributeValue) {
    if let AttributeValue::N(number) = sort {
        number.sort_key(key);
        return;
    }
    push_sort_prefix(key, sort);
    key.extend_from_slice(&[0, 1]);
}

/// Appends what all sort keys begin with that begin with this text or these bytes.
pub(crate) fn push_sort_prefix(key: &mut Vec<u8>, prefix: &AttributeValue) {
    for &b in plain(prefix).iter() {
        key.push(b);
        if b == 0 {
            key.push(0xff);
        }
    }
}

/// Appends an item's own keys to an entry of an index: apart from others', in no special order.
pub(crate) fn push_own_keys(key: &mut Vec<u8>, partition: &AttributeValue, sort: Option<&AttributeValue>) {
    push_plain(key, &plain(partition));
    if let Some(sort) = sort {
        key.extend_from_slice(&plain(sort));
    }
}

/// The entry of a TTL: due entries lie before those that are not.
pub(crate) fn ttl_entry(table: u64, index: u64, seconds: i64, own: &[u8]) -> Vec<u8> {
    let mut key = ttl_until(table, index, seconds);
    key.extend_from_slice(own);
    key
}

/// What the entries of a TTL that are due at `seconds` begin with.
pub(crate) fn ttl_until(table: u64, index: u64, seconds: i64) -> Vec<u8> {
    Key::new(SPACE).u8(b'x').u64(table).u64(index).i64(seconds).build()
}

/// Where the sort key of `condition` lies within the keys that begin with `prefix`: start and end.
pub(crate) fn sort_range(prefix: &[u8], condition: &crate::expression::SortCondition) -> (Vec<u8>, Vec<u8>) {
    use crate::expression::{Comparator, SortCondition};
    let at = |value| {
        let mut key = prefix.to_vec();
        push_sort_key(&mut key, value);
        key
    };
    let (first, end) = (prefix.to_vec(), successor(prefix));
    match condition {
        SortCondition::Compare(Comparator::Equal, v) => (at(v), successor(&at(v))),
        SortCondition::Compare(Comparator::Less, v) => (first, at(v)),
        SortCondition::Compare(Comparator::LessOrEqual, v) => (first, successor(&at(v))),
        SortCondition::Compare(Comparator::Greater, v) => (successor(&at(v)), end),
        SortCondition::Compare(Comparator::GreaterOrEqual, v) => (at(v), end),
        // `<>` is no key condition and refused before.
        SortCondition::Compare(Comparator::NotEqual, _) => (first.clone(), first),
        SortCondition::Between(low, high) => (at(low), successor(&at(high))),
        SortCondition::BeginsWith(v) => {
            let mut key = prefix.to_vec();
            push_sort_prefix(&mut key, v);
            (key.clone(), successor(&key))
        }
    }
}

/// The named attributes of `item`, those of them that are there.
pub(crate) fn pick<'a>(item: &Item, names: impl IntoIterator<Item = &'a str>) -> Item {
    names.into_iter().filter_map(|n| item.get_key_value(n)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Number;
    use proptest::prelude::*;

    fn sort_key(value: &AttributeValue) -> Vec<u8> {
        let mut key = Vec::new();
        push_sort_key(&mut key, value);
        key
    }

    proptest! {
        #[test]
        fn sort_keys_are_in_order(a in prop::collection::vec(0u8..4, 0..6), b in prop::collection::vec(0u8..4, 0..6)) {
            let (ka, kb) = (sort_key(&AttributeValue::B(a.clone())), sort_key(&AttributeValue::B(b.clone())));
            prop_assert_eq!(ka.cmp(&kb), a.cmp(&b));
            prop_assert!(a == b || !ka.starts_with(&kb));
        }
    }

    #[test]
    fn the_longest_keys_fit_the_store() {
        let (hash, range) =
            (AttributeValue::B(vec![0; HASH_KEY_BYTES_MAX]), AttributeValue::B(vec![0; RANGE_KEY_BYTES_MAX]));
        let mut key = entries(u64::MAX, u64::MAX);
        push_hash_key(&mut key, &hash);
        push_sort_key(&mut key, &range);
        push_own_keys(&mut key, &hash, Some(&range));
        assert!(key.len() <= store::KEY_BYTES_MAX, "{}", key.len());
    }

    #[test]
    fn keys_of_version_1_stay_where_they_are() {
        let (hash, range) = (AttributeValue::S("a".to_owned()), AttributeValue::N(Number::from(7)));
        let expected = [b"dynamodb\0\x01i".as_slice(), &[0, 0, 0, 0, 0, 0, 0, 9]].concat();
        let key = item(9, &hash, Some(&range));
        assert!(key.starts_with(&expected));
        assert_eq!(key[expected.len()..expected.len() + 4], partition_hash(&hash).to_be_bytes());
        assert_eq!(key[expected.len() + 4..], [0, 1, b'a', 2, 130, 71, 0]);
        assert_eq!(partition_hash(&hash), 0x82a2_a958);
    }
}
