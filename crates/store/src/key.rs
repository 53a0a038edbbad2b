use std::fmt;

/// Builds keys whose byte order is the order of their parts.
///
/// Texts and bytes: each `00` becomes `00 FF`, and the part ends with `00 01`, so that a part is never a prefix of
/// another and `"a" < "a\0" < "ab"`. Numbers: eight bytes, big-endian, with the sign bit flipped where signed.
///
/// ```
/// use store::Key;
/// let key = Key::new("sqs").str("000000000000").str("us-east-1").str("orders").u64(7).build();
/// let mut parts = store::KeyReader::new(&key);
/// assert_eq!(parts.str().unwrap(), "sqs");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// Begins a key in the space of one owner, such as `sqs` or `execution`.
    pub fn new(space: &str) -> Key {
        Key(Vec::with_capacity(64)).str(space)
    }

    pub fn str(self, part: &str) -> Key {
        self.bytes(part.as_bytes())
    }

    pub fn bytes(mut self, part: &[u8]) -> Key {
        for &b in part {
            self.0.push(b);
            if b == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 1]);
        self
    }

    pub fn u8(mut self, part: u8) -> Key {
        self.0.push(part);
        self
    }

    pub fn u64(mut self, part: u64) -> Key {
        self.0.extend_from_slice(&part.to_be_bytes());
        self
    }

    pub fn i64(self, part: i64) -> Key {
        self.u64((part as u64) ^ (1 << 63))
    }

    /// The key's bytes; also the prefix of every key that goes on from here.
    pub fn build(self) -> Vec<u8> {
        self.0
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Key> for bytes::Bytes {
    fn from(key: Key) -> bytes::Bytes {
        key.0.into()
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Vec<u8> {
        key.0
    }
}

/// A key's bytes are not what its reader expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed key")
    }
}

impl std::error::Error for KeyError {}

impl From<KeyError> for crate::Error {
    fn from(_: KeyError) -> crate::Error {
        crate::Error::Corrupt("malformed key".to_owned())
    }
}

/// Takes a key apart again, part by part.
#[derive(Clone, Debug)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    pub fn new(key: &'a [u8]) -> KeyReader<'a> {
        KeyReader(key)
    }

    pub fn str(&mut self) -> Result<String, KeyError> {
        String::from_utf8(self.bytes()?).map_err(|_| KeyError)
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, KeyError> {
        let mut part = Vec::new();
        let mut rest = self.0.iter().enumerate();
        while let Some((_, &b)) = rest.next() {
            if b != 0 {
                part.push(b);
                continue;
            }
            match rest.next() {
                Some((_, 0xff)) => part.push(0),
                Some((i, 1)) => {
                    self.0 = &self.0[i + 1..];
                    return Ok(part);
                }
                _ => return Err(KeyError),
            }
        }
        Err(KeyError)
    }

    pub fn u8(&mut self) -> Result<u8, KeyError> {
        let (&first, rest) = self.0.split_first().ok_or(KeyError)?;
        self.0 = rest;
        Ok(first)
    }

    pub fn u64(&mut self) -> Result<u64, KeyError> {
        let (number, rest) = self.0.split_first_chunk::<8>().ok_or(KeyError)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*number))
    }

    pub fn i64(&mut self) -> Result<i64, KeyError> {
        Ok((self.u64()? ^ (1 << 63)) as i64)
    }

    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// The first key behind all keys that begin with `prefix`.
pub fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // Nothing is behind a prefix of only FF (or none): longer than any key that can be stored.
    vec![0xff; crate::KEY_BYTES_MAX + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_keys_is_order_of_parts() {
        let texts = ["", "\0", "\0\0", "a", "a\0", "a\0b", "a\u{1}", "ab", "b", "\u{ff}"];
        for a in texts {
            for b in texts {
                for (m, n) in [(0, u64::MAX), (5, 5), (u64::MAX, 0)] {
                    let (ka, kb) = (Key::new("t").str(a).u64(m), Key::new("t").str(b).u64(n));
                    assert_eq!(ka.as_bytes().cmp(kb.as_bytes()), (a, m).cmp(&(b, n)), "{a:?} {b:?}");
                }
            }
        }
        assert!(Key::new("t").i64(-1).as_bytes() < Key::new("t").i64(0).as_bytes());
    }

    #[test]
    fn parts_come_back() {
        let key = Key::new("t").str("a\0b").u64(9).i64(-4).u8(3).bytes(&[0, 0xff, 1]).build();
        let mut r = KeyReader::new(&key);
        assert_eq!((r.str().unwrap(), r.str().unwrap(), r.u64().unwrap()), ("t".into(), "a\0b".into(), 9));
        assert_eq!((r.i64().unwrap(), r.u8().unwrap(), r.bytes().unwrap()), (-4, 3, vec![0, 0xff, 1]));
        assert_eq!((r.rest(), r.str()), (&[][..], Err(KeyError)));
    }

    #[test]
    fn successors() {
        assert_eq!(successor(b"ab"), b"ac");
        assert_eq!(successor(&[1, 0xff]), [2]);
        assert!(successor(&[0xff]).len() > crate::KEY_BYTES_MAX);
    }
}
