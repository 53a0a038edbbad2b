//! Constraints of the service models, and the words that AWS has for breaking them.

use service::Fault;

pub(crate) fn broken(value: &str, member: &str, constraint: &str) -> Fault {
    let value: String = value.chars().take(256).collect();
    Fault::validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    ))
}

/// A text's length in characters.
pub(crate) fn length(value: &str, member: &str, min: usize, max: usize) -> Result<(), Fault> {
    let count = value.chars().count();
    if count < min {
        let constraint = format!("Member must have length greater than or equal to {min}");
        return Err(broken(value, member, &constraint));
    }
    if count > max {
        return Err(broken(value, member, &format!("Member must have length less than or equal to {max}")));
    }
    Ok(())
}

pub(crate) fn pattern(value: &str, member: &str, pattern: &str, allowed: fn(char) -> bool) -> Result<(), Fault> {
    if value.chars().all(allowed) {
        return Ok(());
    }
    Err(broken(value, member, &format!("Member must satisfy regular expression pattern: {pattern}")))
}

pub(crate) fn range(value: i64, member: &str, min: i64, max: i64) -> Result<(), Fault> {
    if value < min {
        let constraint = format!("Member must have value greater than or equal to {min}");
        return Err(broken(&value.to_string(), member, &constraint));
    }
    if value > max {
        let constraint = format!("Member must have value less than or equal to {max}");
        return Err(broken(&value.to_string(), member, &constraint));
    }
    Ok(())
}

/// The size of a page of a list.
pub(crate) fn page_size(value: Option<i64>, member: &str, max: i64, absent: i64) -> Result<usize, Fault> {
    let value = value.unwrap_or(absent);
    range(value, member, 1, max)?;
    Ok(usize::try_from(value).unwrap_or(1))
}

/// A name's characters: letters, digits, `_+=,.@-`.
pub(crate) fn name(value: &str, member: &str, max: usize) -> Result<(), Fault> {
    length(value, member, 1, max)?;
    pattern(value, member, "[\\w+=,.@-]+", |c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
}
