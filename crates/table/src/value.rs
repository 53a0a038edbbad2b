use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::Number;

/// How deep lists and maps may be nested.
pub const NESTING_MAX: usize = 32;
/// What an item may weigh, names and values.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// What the name of an attribute may weigh.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 65_535;
/// What DynamoDB counts for a list or map beside its elements, and for each element.
const CONTAINER_BYTES: usize = 3;
const ELEMENT_BYTES: usize = 1;

/// One item: its attributes by name.
pub type Item = BTreeMap<String, AttributeValue>;

/// A value of DynamoDB. Sets are kept sorted and without duplicates, so that equal sets are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    S(String),
    N(Number),
    B(Vec<u8>),
    Bool(bool),
    Null,
    L(Vec<AttributeValue>),
    M(Item),
    Ss(Vec<String>),
    Ns(Vec<Number>),
    Bs(Vec<Vec<u8>>),
}

/// The type of a value, by AWS's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    S,
    N,
    B,
    Bool,
    Null,
    L,
    M,
    Ss,
    Ns,
    Bs,
}

impl Kind {
    /// The member name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Kind::S => "S",
            Kind::N => "N",
            Kind::B => "B",
            Kind::Bool => "BOOL",
            Kind::Null => "NULL",
            Kind::L => "L",
            Kind::M => "M",
            Kind::Ss => "SS",
            Kind::Ns => "NS",
            Kind::Bs => "BS",
        }
    }

    /// The name that messages about ADD and DELETE use.
    pub fn long_name(self) -> &'static str {
        match self {
            Kind::S => "STRING",
            Kind::N => "NUMBER",
            Kind::B => "BINARY",
            Kind::Bool => "BOOLEAN",
            Kind::Null => "NULL",
            Kind::L => "LIST",
            Kind::M => "MAP",
            Kind::Ss => "STRING_SET",
            Kind::Ns => "NUMBER_SET",
            Kind::Bs => "BINARY_SET",
        }
    }

    /// Reads the member name on the wire.
    pub fn parse(name: &str) -> Option<Kind> {
        Some(match name {
            "S" => Kind::S,
            "N" => Kind::N,
            "B" => Kind::B,
            "BOOL" => Kind::Bool,
            "NULL" => Kind::Null,
            "L" => Kind::L,
            "M" => Kind::M,
            "SS" => Kind::Ss,
            "NS" => Kind::Ns,
            "BS" => Kind::Bs,
            _ => return None,
        })
    }

    /// Whether values of this type have an order: texts, numbers, bytes.
    pub fn is_ordered(self) -> bool {
        matches!(self, Kind::S | Kind::N | Kind::B)
    }
}

impl AttributeValue {
    pub fn kind(&self) -> Kind {
        match self {
            AttributeValue::S(_) => Kind::S,
            AttributeValue::N(_) => Kind::N,
            AttributeValue::B(_) => Kind::B,
            AttributeValue::Bool(_) => Kind::Bool,
            AttributeValue::Null => Kind::Null,
            AttributeValue::L(_) => Kind::L,
            AttributeValue::M(_) => Kind::M,
            AttributeValue::Ss(_) => Kind::Ss,
            AttributeValue::Ns(_) => Kind::Ns,
            AttributeValue::Bs(_) => Kind::Bs,
        }
    }

    /// The order of two values of one ordered type; `None` for any others.
    pub fn order(&self, other: &AttributeValue) -> Option<Ordering> {
        match (self, other) {
            (AttributeValue::S(a), AttributeValue::S(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (AttributeValue::N(a), AttributeValue::N(b)) => Some(a.cmp(b)),
            (AttributeValue::B(a), AttributeValue::B(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// What DynamoDB counts for this value.
    pub fn size_bytes(&self) -> usize {
        match self {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(number) => number.size_bytes(),
            AttributeValue::B(bytes) => bytes.len(),
            AttributeValue::Bool(_) | AttributeValue::Null => 1,
            AttributeValue::L(list) => {
                CONTAINER_BYTES + list.iter().map(|v| ELEMENT_BYTES + v.size_bytes()).sum::<usize>()
            }
            AttributeValue::M(map) => CONTAINER_BYTES + map.len() * ELEMENT_BYTES + item_size_bytes(map),
            AttributeValue::Ss(set) => set.iter().map(String::len).sum(),
            AttributeValue::Ns(set) => set.iter().map(Number::size_bytes).sum(),
            AttributeValue::Bs(set) => set.iter().map(Vec::len).sum(),
        }
    }

    /// How many levels of lists and maps it has.
    pub fn depth(&self) -> usize {
        match self {
            AttributeValue::L(list) => 1 + list.iter().map(AttributeValue::depth).max().unwrap_or(0),
            AttributeValue::M(map) => 1 + map.values().map(AttributeValue::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// As messages show a value: `{N:5}`.
    pub(crate) fn shown(&self) -> String {
        let inner = match self {
            AttributeValue::S(text) => text.clone(),
            AttributeValue::N(number) => number.to_string(),
            other => serde_json::to_value(other)
                .ok()
                .and_then(|v| v.get(other.kind().name()).map(ToString::to_string))
                .unwrap_or_default(),
        };
        format!("{{{}:{inner}}}", self.kind().name())
    }
}

/// What DynamoDB counts for an item: its attributes' names and values.
pub fn item_size_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size_bytes()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_count_names_values_and_containers() {
        let s = |t: &str| AttributeValue::S(t.to_owned());
        let map = Item::from([("ab".to_owned(), s("cde")), ("f".to_owned(), AttributeValue::Null)]);
        assert_eq!(item_size_bytes(&map), 2 + 3 + 1 + 1);
        assert_eq!(AttributeValue::M(map).size_bytes(), 3 + 7 + 2);
        assert_eq!(AttributeValue::L(vec![s("é"), s("")]).size_bytes(), 3 + 2 + 2);
        assert_eq!(AttributeValue::Ns(vec![Number::from(12), Number::from(1)]).size_bytes(), 2 + 2);
    }

    #[test]
    fn depth_counts_containers() {
        let nested = AttributeValue::L(vec![AttributeValue::M(Item::from([("a".to_owned(), AttributeValue::Null)]))]);
        assert_eq!((AttributeValue::Null.depth(), nested.depth()), (0, 2));
    }
}
