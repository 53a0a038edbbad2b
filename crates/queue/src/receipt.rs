use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const VERSION: u8 = 1;
const CHECK_BYTES: usize = 8;
const HANDLE_BYTES: usize = 1 + 8 + 8 + 4 + CHECK_BYTES;

/// One receive of one message: what a receipt handle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub serial: u64,
    pub seq: u64,
    /// The message's receive count after that receive.
    pub epoch: u32,
}

/// Signs receipts, so that a handle can only come from a receive.
#[derive(Clone)]
pub(crate) struct Receipts {
    secret: [u8; 32],
}

impl Receipts {
    pub fn new(secret: [u8; 32]) -> Receipts {
        Receipts { secret }
    }

    pub fn handle(&self, receipt: Receipt) -> String {
        let mut bytes = Vec::with_capacity(HANDLE_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&receipt.serial.to_be_bytes());
        bytes.extend_from_slice(&receipt.seq.to_be_bytes());
        bytes.extend_from_slice(&receipt.epoch.to_be_bytes());
        let check = self.check(&bytes);
        bytes.extend_from_slice(&check);
        STANDARD.encode(bytes)
    }

    /// What the handle says, if it is one of ours.
    pub fn read(&self, handle: &str) -> Option<Receipt> {
        if handle.len() > 2 * HANDLE_BYTES {
            return None;
        }
        let bytes = STANDARD.decode(handle).ok().filter(|b| b.len() == HANDLE_BYTES)?;
        let (body, check) = bytes.split_at(HANDLE_BYTES - CHECK_BYTES);
        let number = |at: usize| body[at..at + 8].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let genuine = body[0] == VERSION && self.check(body) == check;
        genuine.then(|| Receipt { serial: number(1), seq: number(9), epoch: number(13) as u32 })
    }

    fn check(&self, bytes: &[u8]) -> [u8; CHECK_BYTES] {
        let hash = Sha256::new().chain_update(self.secret).chain_update(bytes).finalize();
        *hash.first_chunk().expect("a digest has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_handles_are_read() {
        let receipts = Receipts::new([3; 32]);
        let receipt = Receipt { serial: u64::MAX - 1, seq: 5, epoch: 0x0102_0304 };
        let handle = receipts.handle(receipt);
        assert_eq!(receipts.read(&handle), Some(receipt));
        assert_eq!(Receipts::new([4; 32]).read(&handle), None);
        for broken in ["", "x", "AQ==", &handle[1..], &handle.replace('A', "B"), &"A".repeat(5000)] {
            assert_eq!(receipts.read(broken), None);
        }
    }
}
