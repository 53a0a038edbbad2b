//! The bytes of stored records: a version byte, then fields one after another. Numbers are LEB128, texts and bytes
//! have their length before them.

use bytes::Bytes;
use store::Error;

pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(version: u8) -> Writer {
        Writer(vec![version])
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Writer {
        self.0.push(value);
        self
    }

    pub(crate) fn u64(&mut self, mut value: u64) -> &mut Writer {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8)
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Writer {
        self.u64(((value << 1) ^ (value >> 63)) as u64)
    }

    pub(crate) fn fixed(&mut self, value: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Writer {
        self.u64(value.len() as u64).fixed(value)
    }

    pub(crate) fn str(&mut self, value: &str) -> &mut Writer {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn pairs<'a>(&mut self, pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> &mut Writer {
        self.u64(pairs.len() as u64);
        for (key, value) in pairs {
            self.str(key).str(value);
        }
        self
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.into()
    }
}

pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins reading a record whose only known version is `version`.
    pub(crate) fn open(what: &'static str, record: &'a [u8], version: u8) -> Result<Reader<'a>, Error> {
        let mut reader = Reader { what, rest: record };
        match reader.u8()? {
            v if v == version => Ok(reader),
            v => Err(Error::Corrupt(format!("{what}: version {v} is not known"))),
        }
    }

    pub(crate) fn corrupt(&self) -> Error {
        Error::Corrupt(format!("{}: malformed record", self.what))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        let (&first, rest) = self.rest.split_first().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.corrupt())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        u32::try_from(self.u64()?).map_err(|_| self.corrupt())
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        let value = self.u64()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = usize::try_from(self.u64()?).map_err(|_| self.corrupt())?;
        let (first, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(first)
    }

    pub(crate) fn str(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| self.corrupt())
    }

    pub(crate) fn pairs<C: FromIterator<(String, String)>>(&mut self) -> Result<C, Error> {
        let count = self.u64()?;
        (0..count).map(|_| Ok((self.str()?, self.str()?))).collect()
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt()),
        }
    }

    /// Checks that nothing follows.
    pub(crate) fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt()) }
    }
}
