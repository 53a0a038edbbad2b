//! Checksums of content: computed while it streams by, compared with what the caller claims, combined from parts.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crc_fast::CrcAlgorithm;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};

/// The algorithms that S3 knows beside MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Algorithm {
    Crc32 = 1,
    Crc32c = 2,
    Sha1 = 3,
    Sha256 = 4,
    Crc64Nvme = 5,
}

/// What a checksum of a multipart object covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChecksumKind {
    /// All bytes of the object.
    FullObject = 1,
    /// The checksums of its parts.
    Composite = 2,
}

/// A checksum that is stored with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub algorithm: Algorithm,
    pub kind: ChecksumKind,
    pub value: Vec<u8>,
    /// Of how many parts a composite checksum is made.
    pub parts: u32,
}

impl Algorithm {
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Crc64Nvme];

    pub(crate) fn of_code(code: u8) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|a| *a as u8 == code)
    }

    /// The name in `x-amz-sdk-checksum-algorithm` and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
            Algorithm::Crc64Nvme => "CRC64NVME",
        }
    }

    pub fn of_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// The header that carries a value of this algorithm.
    pub fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }

    /// Whether the checksum of a whole can be computed from those of its parts.
    pub(crate) fn can_be_full_object(self) -> bool {
        self.crc().is_some()
    }

    pub(crate) fn can_be_composite(self) -> bool {
        self != Algorithm::Crc64Nvme
    }

    /// The kind that S3 takes if the caller names none.
    pub(crate) fn default_kind(self) -> ChecksumKind {
        if self.can_be_composite() { ChecksumKind::Composite } else { ChecksumKind::FullObject }
    }

    /// Reads a value in base64; `None` if it is not of this algorithm.
    pub(crate) fn parse(self, text: &str) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(text).ok().filter(|v| v.len() == self.len())
    }

    /// The checksum of all parts' bytes one after another.
    pub(crate) fn combined<'a>(self, parts: impl Iterator<Item = (&'a [u8], u64)>) -> Option<Vec<u8>> {
        let crc = self.crc()?;
        let number = |value: &[u8]| value.iter().fold(0u64, |n, b| (n << 8) | u64::from(*b));
        let whole = parts
            .map(|(value, len)| (number(value), len))
            .reduce(|(a, a_len), (b, b_len)| (crc_fast::checksum_combine(crc, a, b, b_len), a_len + b_len))?;
        Some(whole.0.to_be_bytes()[8 - self.len()..].to_vec())
    }

    /// The checksum of the parts' checksums.
    pub(crate) fn composite<'a>(self, parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut hasher = Hasher::new(self);
        parts.for_each(|value| hasher.update(value));
        hasher.finish()
    }
}

impl ChecksumKind {
    pub fn name(self) -> &'static str {
        match self {
            ChecksumKind::FullObject => "FULL_OBJECT",
            ChecksumKind::Composite => "COMPOSITE",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<ChecksumKind> {
        [ChecksumKind::FullObject, ChecksumKind::Composite].into_iter().find(|k| k.name() == name)
    }

    pub(crate) fn of_code(code: u8) -> Option<ChecksumKind> {
        [ChecksumKind::FullObject, ChecksumKind::Composite].into_iter().find(|k| *k as u8 == code)
    }
}

impl Checksum {
    pub(crate) fn full(algorithm: Algorithm, value: Vec<u8>) -> Checksum {
        Checksum { algorithm, kind: ChecksumKind::FullObject, value, parts: 0 }
    }

    /// As in headers and answers: base64, with the number of parts if composite.
    pub fn text(&self) -> String {
        let value = BASE64_STANDARD.encode(&self.value);
        match self.kind {
            ChecksumKind::FullObject => value,
            ChecksumKind::Composite => format!("{value}-{}", self.parts),
        }
    }
}

enum Hasher {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Sha1(Box<Sha1>),
    Sha256(Box<Sha256>),
    Crc64Nvme(Crc64Nvme),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Crc32 => Hasher::Crc32(Crc32::new()),
            Algorithm::Crc32c => Hasher::Crc32c(Crc32c::new()),
            Algorithm::Sha1 => Hasher::Sha1(Box::new(Sha1::new())),
            Algorithm::Sha256 => Hasher::Sha256(Box::new(Sha256::new())),
            Algorithm::Crc64Nvme => Hasher::Crc64Nvme(Crc64Nvme::new()),
        }
    }

    fn update(&mut self, data: &[u8]) {
        match self {
            Hasher::Crc32(h) => h.update(data),
            Hasher::Crc32c(h) => h.update(data),
            Hasher::Sha1(h) => h.update(data),
            Hasher::Sha256(h) => h.update(data),
            Hasher::Crc64Nvme(h) => h.update(data),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Crc32(h) => h.finalize().as_ref().to_vec(),
            Hasher::Crc32c(h) => h.finalize().as_ref().to_vec(),
            Hasher::Sha1(h) => h.finalize().as_ref().to_vec(),
            Hasher::Sha256(h) => h.finalize().as_ref().to_vec(),
            Hasher::Crc64Nvme(h) => h.finalize().as_ref().to_vec(),
        }
    }
}

/// MD5 and the checksums asked for, of one stream of bytes.
pub(crate) struct Digests {
    md5: Md5,
    others: Vec<(Algorithm, Hasher)>,
}

/// What [`Digests`] found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) md5: [u8; 16],
    others: Vec<(Algorithm, Vec<u8>)>,
}

impl Digests {
    pub(crate) fn new(algorithms: &[Algorithm]) -> Digests {
        let mut others: Vec<(Algorithm, Hasher)> = Vec::new();
        for algorithm in algorithms {
            if others.iter().all(|(a, _)| a != algorithm) {
                others.push((*algorithm, Hasher::new(*algorithm)));
            }
        }
        Digests { md5: Md5::new(), others }
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        self.md5.update(data);
        for (_, hasher) in &mut self.others {
            hasher.update(data);
        }
    }

    pub(crate) fn finish(self) -> Found {
        let mut md5 = [0; 16];
        md5.copy_from_slice(self.md5.finalize().as_ref());
        Found { md5, others: self.others.into_iter().map(|(a, h)| (a, h.finish())).collect() }
    }
}

impl Found {
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.others.iter().find(|(a, _)| *a == algorithm).map(|(_, v)| v.as_slice())
    }
}

/// The MD5 of `data`.
pub(crate) fn md5(data: &[u8]) -> [u8; 16] {
    let mut digests = Digests::new(&[]);
    digests.update(data);
    digests.finish().md5
}

/// The SHA-256 of `data`.
pub(crate) fn sha256(data: &[u8]) -> Vec<u8> {
    Sha256::checksum(data).as_ref().to_vec()
}
