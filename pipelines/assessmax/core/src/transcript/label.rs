//! Names before a colon: `Maya: I think so`.

use crate::language::is_word_char;

/// The longest name.
const NAME_CHARS_MAX: usize = 40;
const NAME_WORDS_MAX: usize = 5;

/// Splits `Name: text`, where the name looks like one: at most five words, none of them in small letters but for
/// particles, no punctuation that ends a sentence.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(':')?;
    let name = name.trim();
    let spoken = rest.is_empty() || rest.starts_with(char::is_whitespace);
    (spoken && is_name(name)).then(|| (name, rest.trim()))
}

fn is_name(text: &str) -> bool {
    const PARTICLES: [&str; 12] = ["de", "da", "del", "der", "di", "dos", "el", "la", "le", "van", "von", "y"];
    // A remark in brackets belongs to the name's line but not to the name: `Maya (whispering)`.
    let bare = text.split_once(['(', '[']).map_or(text, |(name, _)| name).trim();
    let words = bare.split_whitespace().count();
    if bare.is_empty() || bare.chars().count() > NAME_CHARS_MAX || words > NAME_WORDS_MAX {
        return false;
    }
    bare.split_whitespace().enumerate().all(|(index, word)| {
        let first = word.chars().next().is_some_and(|c| c.is_uppercase() || c.is_ascii_digit() && index > 0);
        let rest = word.chars().all(|c| is_word_char(c) || matches!(c, '.' | '-' | '\'' | '’' | '_' | '#'));
        rest && (first || index > 0 && PARTICLES.contains(&word) || is_caseless(word))
    })
}

/// Scripts such as Arabic or Chinese know no capitals.
fn is_caseless(word: &str) -> bool {
    word.chars().next().is_some_and(|c| c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase())
}

/// Whether a line is a remark and not speech: `[laughter]`, `(bell rings)`, `* applause *`.
pub(super) fn is_remark(text: &str) -> bool {
    [('[', ']'), ('(', ')'), ('*', '*'), ('♪', '♪')].iter().any(|(open, close)| {
        text.len() > 1 && text.starts_with(*open) && text.ends_with(*close) && text.matches(*open).count() <= 2
    })
}
