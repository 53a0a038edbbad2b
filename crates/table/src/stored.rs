//! Items as bytes in the store.
//!
//! `version 1 | size DynamoDB counts (varint) | number of attributes (varint) | (name, value)*`; texts and bytes are a
//! varint length and the bytes; a value is a tag byte and what the tag needs. Varints are LEB128.

use store::Error;

use crate::{AttributeValue, Item, Number};

const VERSION: u8 = 1;
/// Deeper than any valid item: what nests deeper is damage, not data.
const DEPTH_MAX: usize = 64;

mod tag {
    pub const S: u8 = 1;
    pub const N: u8 = 2;
    pub const B: u8 = 3;
    pub const FALSE: u8 = 4;
    pub const TRUE: u8 = 5;
    pub const NULL: u8 = 6;
    pub const L: u8 = 7;
    pub const M: u8 = 8;
    pub const SS: u8 = 9;
    pub const NS: u8 = 10;
    pub const BS: u8 = 11;
}

/// Writes an item whose size by DynamoDB's count is `size_bytes`.
pub(crate) fn encode_item(item: &Item, size_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_bytes + 16 + item.len() * 4);
    out.push(VERSION);
    put_varint(&mut out, size_bytes as u128);
    put_map(&mut out, item);
    out
}

/// The size by DynamoDB's count of a stored item, without reading the item.
pub(crate) fn stored_size_bytes(bytes: &[u8]) -> Result<usize, Error> {
    Reader::new(bytes)?.length()
}

/// Reads what [`encode_item`] wrote.
pub(crate) fn decode_item(bytes: &[u8]) -> Result<Item, Error> {
    let mut reader = Reader::new(bytes)?;
    reader.length()?;
    let item = reader.map(0)?;
    if reader.rest.is_empty() { Ok(item) } else { Err(corrupt()) }
}

fn corrupt() -> Error {
    Error::Corrupt("item record".to_owned())
}

fn put_varint(out: &mut Vec<u8>, mut n: u128) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u128);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, number: &Number) {
    let (negative, exponent, coefficient) = number.parts();
    let zigzag = ((exponent << 1) ^ (exponent >> 15)) as u16;
    put_varint(out, u128::from(zigzag) << 1 | u128::from(negative));
    put_varint(out, coefficient);
}

fn put_map(out: &mut Vec<u8>, map: &Item) {
    put_varint(out, map.len() as u128);
    for (name, value) in map {
        put_bytes(out, name.as_bytes());
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::S(text) => {
            out.push(tag::S);
            put_bytes(out, text.as_bytes());
        }
        AttributeValue::N(number) => {
            out.push(tag::N);
            put_number(out, number);
        }
        AttributeValue::B(bytes) => {
            out.push(tag::B);
            put_bytes(out, bytes);
        }
        AttributeValue::Bool(value) => out.push(if *value { tag::TRUE } else { tag::FALSE }),
        AttributeValue::Null => out.push(tag::NULL),
        AttributeValue::L(list) => {
            out.push(tag::L);
            put_varint(out, list.len() as u128);
            list.iter().for_each(|v| put_value(out, v));
        }
        AttributeValue::M(map) => {
            out.push(tag::M);
            put_map(out, map);
        }
        AttributeValue::Ss(set) => {
            out.push(tag::SS);
            put_varint(out, set.len() as u128);
            set.iter().for_each(|s| put_bytes(out, s.as_bytes()));
        }
        AttributeValue::Ns(set) => {
            out.push(tag::NS);
            put_varint(out, set.len() as u128);
            set.iter().for_each(|n| put_number(out, n));
        }
        AttributeValue::Bs(set) => {
            out.push(tag::BS);
            put_varint(out, set.len() as u128);
            set.iter().for_each(|b| put_bytes(out, b));
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Reader<'a>, Error> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Reader { rest }),
            _ => Err(corrupt()),
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (&first, rest) = self.rest.split_first().ok_or_else(corrupt)?;
        self.rest = rest;
        Ok(first)
    }

    fn varint(&mut self) -> Result<u128, Error> {
        let mut n = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            n |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(corrupt())
    }

    /// A length or count: never more than there are bytes left to hold it, where it counts things that follow.
    fn length(&mut self) -> Result<usize, Error> {
        usize::try_from(self.varint()?).map_err(|_| corrupt())
    }

    fn count(&mut self) -> Result<usize, Error> {
        self.length().and_then(|n| if n <= self.rest.len() { Ok(n) } else { Err(corrupt()) })
    }

    fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = self.count()?;
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Error> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| corrupt())
    }

    fn number(&mut self) -> Result<Number, Error> {
        let head = u32::try_from(self.varint()?).map_err(|_| corrupt())?;
        let zigzag = u16::try_from(head >> 1).map_err(|_| corrupt())?;
        let exponent = (zigzag >> 1) as i16 ^ -((zigzag & 1) as i16);
        Number::from_parts(head & 1 == 1, exponent, self.varint()?).ok_or_else(corrupt)
    }

    fn map(&mut self, depth: usize) -> Result<Item, Error> {
        (0..self.count()?).map(|_| Ok((self.text()?, self.value(depth)?))).collect()
    }

    fn value(&mut self, depth: usize) -> Result<AttributeValue, Error> {
        if depth > DEPTH_MAX {
            return Err(corrupt());
        }
        Ok(match self.byte()? {
            tag::S => AttributeValue::S(self.text()?),
            tag::N => AttributeValue::N(self.number()?),
            tag::B => AttributeValue::B(self.bytes()?.to_vec()),
            tag::FALSE => AttributeValue::Bool(false),
            tag::TRUE => AttributeValue::Bool(true),
            tag::NULL => AttributeValue::Null,
            tag::L => AttributeValue::L((0..self.count()?).map(|_| self.value(depth + 1)).collect::<Result<_, _>>()?),
            tag::M => AttributeValue::M(self.map(depth + 1)?),
            tag::SS => AttributeValue::Ss((0..self.count()?).map(|_| self.text()).collect::<Result<_, _>>()?),
            tag::NS => AttributeValue::Ns((0..self.count()?).map(|_| self.number()).collect::<Result<_, _>>()?),
            tag::BS => AttributeValue::Bs(
                (0..self.count()?).map(|_| Ok(self.bytes()?.to_vec())).collect::<Result<_, Error>>()?,
            ),
            _ => return Err(corrupt()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn value() -> impl Strategy<Value = AttributeValue> {
        let number = (-1_000_000i64..1_000_000, -20i32..20)
            .prop_map(|(n, e)| Number::parse(&format!("{n}e{e}")).expect("in range"));
        let scalar = prop_oneof![
            ".{0,8}".prop_map(AttributeValue::S),
            number.clone().prop_map(AttributeValue::N),
            prop::collection::vec(any::<u8>(), 0..8).prop_map(AttributeValue::B),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null),
            prop::collection::btree_set("[a-c]{1,3}", 1..4).prop_map(|s| AttributeValue::Ss(s.into_iter().collect())),
            prop::collection::btree_set(number, 1..4).prop_map(|s| AttributeValue::Ns(s.into_iter().collect())),
            prop::collection::btree_set(prop::collection::vec(any::<u8>(), 1..4), 1..4)
                .prop_map(|s| AttributeValue::Bs(s.into_iter().collect())),
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                prop::collection::btree_map("[a-d]{1,2}", inner, 0..4).prop_map(AttributeValue::M),
            ]
        })
    }

    proptest! {
        #[test]
        fn items_come_back(item in prop::collection::btree_map(".{0,4}", value(), 0..6)) {
            let bytes = encode_item(&item, 77);
            prop_assert_eq!(stored_size_bytes(&bytes), Ok(77));
            prop_assert_eq!(decode_item(&bytes), Ok(item));
        }

        #[test]
        fn damage_is_an_error_not_a_panic(
            item in prop::collection::btree_map(".{0,4}", value(), 0..4),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = encode_item(&item, 5);
            let cut = at.index(bytes.len());
            prop_assert!(decode_item(&bytes[..cut]).is_err());
            bytes[cut] = byte;
            let _ = decode_item(&bytes);
        }
    }

    #[test]
    fn the_format_of_version_1_stays_readable() {
        let item = Item::from([
            ("b".to_owned(), AttributeValue::Bool(true)),
            ("n".to_owned(), AttributeValue::N(Number::parse("-12.5").expect("a number"))),
            ("s".to_owned(), AttributeValue::S("hi".to_owned())),
        ]);
        let bytes = [1, 12, 3, 1, b'b', 5, 1, b'n', 2, 3, 125, 1, b's', 1, 2, b'h', b'i'];
        assert_eq!(encode_item(&item, 12), bytes);
        assert_eq!(decode_item(&bytes), Ok(item));
    }
}
