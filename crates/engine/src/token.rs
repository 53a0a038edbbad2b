//! Task tokens: they name a task of an execution, and nobody can make one up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::keys::ExecutionId;

const VERSION: u8 = 1;
const BODY_BYTES: usize = 1 + 1 + 8 + 8;
const MAC_BYTES: usize = 16;

/// Makes and checks tokens with a key that is stored, so that tokens outlive restarts.
#[derive(Clone)]
pub(crate) struct Tokens {
    key: [u8; 32],
}

impl Tokens {
    pub fn new(key: [u8; 32]) -> Tokens {
        Tokens { key }
    }

    pub fn make(&self, id: ExecutionId, task: u64) -> String {
        let mut bytes = Vec::with_capacity(BODY_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&[VERSION, id.cell]);
        bytes.extend_from_slice(&id.number.to_be_bytes());
        bytes.extend_from_slice(&task.to_be_bytes());
        let mac = self.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The task that `token` names; `None` if it was not made here.
    pub fn read(&self, token: &str) -> Option<(ExecutionId, u64)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|b| b.len() == BODY_BYTES + MAC_BYTES)?;
        let (body, mac) = bytes.split_at(BODY_BYTES);
        self.mac(body).verify_truncated_left(mac).ok()?;
        let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
        (body[0] == VERSION).then(|| (ExecutionId { cell: body[1], number: number(2) }, number(10)))
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length").chain_update(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_task_and_cannot_be_made_up() {
        let tokens = Tokens::new([7; 32]);
        let id = ExecutionId { cell: 3, number: 99 };
        let token = tokens.make(id, 12);
        assert_eq!(tokens.read(&token), Some((id, 12)));
        assert_eq!(Tokens::new([8; 32]).read(&token), None);
        for bad in ["", "x", "NoSuchTaskToken", &token[1..], &format!("{token}A")] {
            assert_eq!(tokens.read(bad), None);
        }
    }
}
