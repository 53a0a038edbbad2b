//! Stored values, byte by byte: numbers big-endian, texts with their length in front.

use base::Timestamp;
use store::Error;

/// Builds a value that begins with its format's version.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub fn new(version: u8, capacity: usize) -> Writer {
        let mut bytes = Vec::with_capacity(capacity + 1);
        bytes.push(version);
        Writer(bytes)
    }

    pub fn u8(mut self, n: u8) -> Writer {
        self.0.push(n);
        self
    }

    pub fn u32(mut self, n: u32) -> Writer {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub fn u64(mut self, n: u64) -> Writer {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub fn time(mut self, t: Timestamp) -> Writer {
        self.0.extend_from_slice(&t.as_millis().to_be_bytes());
        self
    }

    /// Bytes whose length the reader knows, or the last part.
    pub fn raw(mut self, bytes: &[u8]) -> Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn bytes(self, bytes: &[u8]) -> Writer {
        let len = u32::try_from(bytes.len()).expect("a stored part is far below 4 GiB");
        self.u32(len).raw(bytes)
    }

    pub fn str(self, text: &str) -> Writer {
        self.bytes(text.as_bytes())
    }

    pub fn option(self, text: Option<&str>) -> Writer {
        match text {
            None => self.u8(0),
            Some(text) => self.u8(1).str(text),
        }
    }

    pub fn build(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a value apart; every lack is `Corrupt`.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Checks the version byte in front.
    pub fn new(value: &'a [u8], version: u8, what: &'static str) -> Result<Reader<'a>, Error> {
        let mut reader = Reader { rest: value, what };
        match reader.u8()? {
            found if found == version => Ok(reader),
            found => Err(Error::Corrupt(format!("{what} of unknown format {found}"))),
        }
    }

    fn corrupt(&self) -> Error {
        Error::Corrupt(format!("malformed {}", self.what))
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(*head)
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn time(&mut self) -> Result<Timestamp, Error> {
        Ok(Timestamp::from_millis(i64::from_be_bytes(self.array()?)))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u32()? as usize;
        if len > self.rest.len() {
            return Err(self.corrupt());
        }
        let (head, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(head)
    }

    pub fn str(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.corrupt())
    }

    pub fn option(&mut self) -> Result<Option<&'a str>, Error> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.str().map(Some),
            _ => Err(self.corrupt()),
        }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt()) }
    }
}
