//! Page tokens: opaque to the caller, a position for us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service::Fault;

use crate::fault;

pub(super) fn write(position: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

pub(super) fn read(token: Option<&str>) -> Result<Option<Vec<u8>>, Fault> {
    token.map(|t| URL_SAFE_NO_PAD.decode(t).map_err(|_| fault::invalid_page_token())).transpose()
}

/// `maxResults`: 0 or nothing is the default of 100; at most 1,000.
pub(super) fn limit(max_results: Option<i64>) -> Result<usize, Fault> {
    match max_results.unwrap_or(0) {
        0 => Ok(100),
        n @ 1..=1000 => Ok(usize::try_from(n).expect("at most 1000")),
        n => Err(Fault::validation(format!(
            "1 validation error detected: Value '{n}' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000"
        ))),
    }
}

/// One page of things listed by name: those behind `after`, and the token to go on.
pub(super) fn by_name<T>(
    mut all: Vec<T>,
    name: impl Fn(&T) -> String,
    token: Option<&str>,
    limit: usize,
) -> Result<(Vec<T>, Option<String>), Fault> {
    if let Some(after) = read(token)? {
        all.retain(|t| name(t).as_bytes() > &after[..]);
    }
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|t| write(name(t).as_bytes()));
    Ok((all, next))
}
