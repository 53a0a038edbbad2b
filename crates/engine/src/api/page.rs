//! Pages of lists: how many entries, and tokens to go on that hold for one query alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service::Fault;
use sha2::{Digest, Sha256};

use crate::fault;

const VERSION: u8 = 1;
const MARK_BYTES: usize = 8;

/// What AWS gives on a page when nothing is said.
const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: i64 = 1000;

/// Opaque to the caller: a mark of the query that the token belongs to, and a position.
pub(super) struct Query {
    mark: [u8; MARK_BYTES],
}

impl Query {
    /// All that must be the same when a list is gone on with, but for the size of its pages.
    pub fn new(list: &str, parts: &[&str]) -> Query {
        let mut hash = Sha256::new();
        for part in [list].iter().chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        Query { mark: digest[..MARK_BYTES].try_into().expect("eight bytes") }
    }

    pub fn write(&self, position: &[u8]) -> String {
        let bytes = [&[VERSION], &self.mark[..], position].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position that a token of this query tells.
    pub fn read(&self, token: Option<&str>) -> Result<Option<Vec<u8>>, Fault> {
        let Some(token) = token else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let position = bytes.as_deref().and_then(|b| b.strip_prefix(&[VERSION])?.strip_prefix(&self.mark));
        position.map(|p| Some(p.to_vec())).ok_or_else(fault::invalid_page_token)
    }

    pub fn write_number(&self, position: u64) -> String {
        self.write(&position.to_be_bytes())
    }

    pub fn read_number(&self, token: Option<&str>) -> Result<Option<u64>, Fault> {
        let position = self.read(token)?.map(|p| p.try_into().map(u64::from_be_bytes));
        position.transpose().map_err(|_| fault::invalid_page_token())
    }
}

/// `maxResults`, whose bounds are checked with the request: 0 or nothing is the default.
pub(super) fn limit(max_results: Option<i64>) -> usize {
    match usize::try_from(max_results.unwrap_or(0).clamp(0, LIMIT_MAX)) {
        Ok(0) | Err(_) => LIMIT_DEFAULT,
        Ok(n) => n,
    }
}

/// One page of things listed by name: those behind the token's, and the token to go on.
pub(super) fn by_name<'a, T: 'a>(
    query: &Query,
    mut all: Vec<T>,
    name: impl Fn(&T) -> &str,
    token: Option<&str>,
    limit: usize,
) -> Result<(Vec<T>, Option<String>), Fault> {
    if let Some(after) = query.read(token)? {
        all.retain(|t| name(t).as_bytes() > &after[..]);
    }
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|t| query.write(name(t).as_bytes()));
    Ok((all, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_query_alone() {
        let (query, other) = (Query::new("l", &["ab", "c"]), Query::new("l", &["a", "bc"]));
        let token = query.write_number(7);
        assert_eq!(query.read_number(Some(&token)).unwrap(), Some(7));
        assert_eq!(query.read(None).unwrap(), None);
        for (query, token) in [(&other, token.as_str()), (&query, "x"), (&query, "__________8"), (&query, "")] {
            assert_eq!(query.read(Some(token)).unwrap_err().code, "InvalidToken");
        }
        assert!(query.read_number(Some(&query.write(b"x"))).is_err());
    }

    #[test]
    fn pages_by_name() {
        let query = Query::new("l", &[]);
        let page = |token: Option<&str>| by_name(&query, vec!["a", "b", "c"], |n| n, token, 2).unwrap();
        let (first, token) = page(None);
        assert_eq!((first, page(token.as_deref())), (vec!["a", "b"], (vec!["c"], None)));
        assert_eq!((limit(None), limit(Some(0)), limit(Some(7)), limit(Some(5_000))), (100, 100, 7, 1000));
    }
}
