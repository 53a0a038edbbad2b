use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where all chance comes from: ids, tokens, jitter.
///
/// Seeded from the operating system in production and from a number in tests, so that a simulated run repeats bit
/// for bit. Counter-based (SplitMix64 over two keys): callers on many threads never wait for each other. Not a
/// source of secrets: bearer tokens use [`Entropy::secret_bytes`].
#[derive(Debug)]
pub struct Entropy {
    key: [u64; 2],
    counter: AtomicU64,
    from_os: bool,
}

impl Entropy {
    /// Seeds from the operating system.
    pub fn from_os() -> Entropy {
        let bytes = os_bytes::<16>();
        let half = |i: usize| u64::from_le_bytes(bytes[i..i + 8].try_into().expect("eight bytes"));
        Entropy { key: [half(0), half(8)], counter: AtomicU64::new(0), from_os: true }
    }

    /// The same sequence for the same seed.
    pub fn from_seed(seed: u64) -> Entropy {
        Entropy { key: [mix(seed), mix(seed ^ 0x5bd1_e995_9e37_79b9)], counter: AtomicU64::new(0), from_os: false }
    }

    pub fn next_u64(&self) -> u64 {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        mix(mix(n.wrapping_add(self.key[0])) ^ self.key[1])
    }

    /// Uniform in `[0, 1)`.
    pub fn next_f64(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound`; 0 where `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A version 4 UUID in its usual text form.
    pub fn uuid(&self) -> String {
        let (a, b) = (self.next_u64(), self.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | (b >> 48) & 0x3fff,
            b & 0xffff_ffff_ffff
        )
    }

    /// Bytes nobody can guess: from the operating system, unless this source was seeded for a test.
    pub fn secret_bytes<const N: usize>(&self) -> [u8; N] {
        if self.from_os {
            return os_bytes::<N>();
        }
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

fn os_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
    assert!(read.is_ok(), "read /dev/urandom: {read:?}");
    bytes
}

fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (a, b) = (Entropy::from_seed(7), Entropy::from_seed(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.uuid(), a.uuid());
        assert_ne!(Entropy::from_seed(8).uuid(), Entropy::from_seed(7).uuid());
        let id = a.uuid();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert_eq!(a.secret_bytes::<20>().len(), 20);
        assert!((0..1000).all(|_| a.below(3) < 3 && a.next_f64() < 1.0));
    }
}
