use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One page of a list, and the token that asks for the next.
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// A token's text does not come from us.
#[derive(Debug)]
pub(crate) struct BadToken;

/// The first `max` of `items` behind what `token` names. `items` are in the order of `key`, or its reverse.
pub(crate) fn page<T>(
    items: Vec<T>,
    token: Option<&str>,
    max: usize,
    reverse: bool,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>, BadToken> {
    let after = token.map(decode).transpose()?;
    let is_behind = |item: &T| match &after {
        None => true,
        Some(after) if reverse => key(item) < *after,
        Some(after) => key(item) > *after,
    };
    let mut items: Vec<T> = items.into_iter().filter(is_behind).collect();
    let next = (items.len() > max && max > 0).then(|| URL_SAFE_NO_PAD.encode(key(&items[max - 1])));
    items.truncate(max);
    Ok(Page { items, next })
}

fn decode(token: &str) -> Result<String, BadToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    String::from_utf8(bytes).map_err(|_| BadToken)
}
