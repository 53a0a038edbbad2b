//! The seed's dice.

use base::Entropy;

/// One stream of chance; streams of the same seed with different names are independent.
pub struct Chance(Entropy);

impl Chance {
    pub fn new(seed: u64, name: &str) -> Chance {
        Chance(Entropy::from_seed(hash(&[&seed.to_be_bytes(), name.as_bytes()])))
    }

    /// Uniform in `0..bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Uniform in `0..bound`, as an index.
    pub fn index(&self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&self, n: u64) -> bool {
        self.0.below(n) == 0
    }

    pub fn next(&self) -> u64 {
        self.0.next_u64()
    }
}

/// FNV-1a over the parts, finished so that near inputs are far apart.
pub fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}
