//! Pages of long answers.

use service::Fault;

use crate::engine::refused;

/// Entries of one page.
pub(super) const PAGE: usize = 100;

/// One page of what comes in order, and the token of the next.
pub(super) fn page<T>(items: Vec<T>, token: Option<&str>) -> Result<(Vec<T>, Option<String>), Fault> {
    let start = number(token)?.unwrap_or(0);
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let more = items.len() > start.saturating_add(PAGE);
    let next = more.then(|| (start + PAGE).to_string());
    Ok((items.into_iter().skip(start).take(PAGE).collect(), next))
}

/// A token's number.
pub(super) fn number(token: Option<&str>) -> Result<Option<u64>, Fault> {
    match token {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| refused("The provided next token is invalid")),
    }
}
