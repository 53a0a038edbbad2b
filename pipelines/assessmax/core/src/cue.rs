//! Cues: short patterns of words that show a behaviour.
//!
//! A cue is words in a row, within one sentence and outside quotation marks:
//!
//! | written | matches |
//! |---|---|
//! | `word` | that word, whatever its case and kind of apostrophe |
//! | `wor*` | words that begin so |
//! | `(a\|b c)` | one of several words or phrases |
//! | `_` | any one word |
//! | `...` | up to six words, or none |
//! | `{peer}` | the first name of somebody else in the room, `'s` or not |
//! | `^` at the start | only at the start of a sentence |
//! | `?` at the end | only in a sentence that is a question |

use std::collections::BTreeSet;

use crate::language::{is_apostrophe, is_word_char};

/// Words that `...` may stand for.
const GAP_WORDS_MAX: usize = 6;
/// Variants that choices of phrases may make of one cue.
const VARIANTS_MAX: usize = 64;

/// A sentence in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    words: Vec<Word>,
    question: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    /// In small letters.
    text: String,
    /// Bytes of the text it was found in.
    start: usize,
    end: usize,
}

/// Splits an utterance into sentences, without what stands in quotation marks: reading aloud is not saying.
pub fn sentences(text: &str) -> Vec<Sentence> {
    let paired = text.matches('"').count().is_multiple_of(2);
    let mut sentences = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let (mut quoted, mut begun) = (false, None);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if !quoted && (is_word_char(c) || is_apostrophe(c)) {
            begun.get_or_insert(at);
            continue;
        }
        if let Some(start) = begun.take() {
            words.extend(word(text, start, at));
        }
        match c {
            '“' => quoted = true,
            '”' => quoted = false,
            '"' if paired => quoted = !quoted,
            '.' | '!' | '?' | '…' if !quoted && !words.is_empty() => {
                sentences.push(Sentence { words: std::mem::take(&mut words), question: c == '?' });
            }
            _ => {}
        }
    }
    if !words.is_empty() {
        sentences.push(Sentence { words, question: false });
    }
    sentences
}

fn word(text: &str, start: usize, end: usize) -> Option<Word> {
    let trimmed = text[start..end].trim_end_matches(is_apostrophe);
    let end = start + trimmed.len();
    let inner = trimmed.trim_start_matches(is_apostrophe);
    let start = end - inner.len();
    (!inner.is_empty()).then(|| Word { text: inner.to_lowercase().replace('’', "'"), start, end })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Word(String),
    Prefix(String),
    OneOf(Vec<Item>),
    Any,
    Gap,
    Peer,
}

/// A parsed cue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// A choice of phrases makes a variant for each.
    variants: Vec<Vec<Item>>,
    at_start: bool,
    in_question: bool,
}

impl Cue {
    pub fn parse(text: &str) -> Result<Cue, String> {
        let rest = text.trim();
        let (rest, at_start) = rest.strip_prefix('^').map_or((rest, false), |r| (r, true));
        let (rest, in_question) = rest.strip_suffix('?').map_or((rest, false), |r| (r, true));
        let mut variants = vec![Vec::new()];
        for token in tokens(rest)? {
            let phrases = alternatives(token)?;
            variants = variants.iter().flat_map(|v| phrases.iter().map(|p| [v.as_slice(), p].concat())).collect();
            if variants.len() > VARIANTS_MAX {
                return Err(format!("the cue \"{text}\" has more than {VARIANTS_MAX} variants"));
            }
        }
        if variants.iter().any(|items| items.iter().all(|i| *i == Item::Gap)) {
            return Err(format!("the cue \"{text}\" names no word"));
        }
        Ok(Cue { variants, at_start, in_question })
    }

    /// The bytes of the text where the cue is found first.
    pub fn find(&self, sentences: &[Sentence], peers: &BTreeSet<String>) -> Option<(usize, usize)> {
        sentences.iter().filter(|s| s.question || !self.in_question).find_map(|sentence| {
            let starts = if self.at_start { 1 } else { sentence.words.len() };
            (0..starts).find_map(|from| {
                let ends = self.variants.iter().find_map(|items| follow(items, &sentence.words, from, peers));
                let end = ends.filter(|end| *end > from)?;
                Some((sentence.words[from].start, sentence.words[end - 1].end))
            })
        })
    }
}

/// Splits at white space, but not within brackets.
fn tokens(text: &str) -> Result<Vec<&str>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = if rest.starts_with('(') {
            rest.find(')').map(|at| at + 1).ok_or_else(|| format!("\"{rest}\" is not closed"))?
        } else {
            rest.find(char::is_whitespace).unwrap_or(rest.len())
        };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Ok(tokens)
}

/// The phrases that a token stands for. Single words stay together, so that they make no variants.
fn alternatives(token: &str) -> Result<Vec<Vec<Item>>, String> {
    let Some(inner) = token.strip_prefix('(').and_then(|t| t.strip_suffix(')')) else {
        return Ok(vec![vec![item(token)?]]);
    };
    let (phrases, words): (Vec<&str>, Vec<&str>) = inner.split('|').partition(|a| a.trim().contains(' '));
    let mut all = Vec::new();
    if !words.is_empty() {
        all.push(vec![Item::OneOf(words.into_iter().map(item).collect::<Result<_, _>>()?)]);
    }
    for phrase in phrases {
        all.push(phrase.split_whitespace().map(item).collect::<Result<_, _>>()?);
    }
    Ok(all)
}

fn item(text: &str) -> Result<Item, String> {
    match text {
        "_" => Ok(Item::Any),
        "..." => Ok(Item::Gap),
        "{peer}" => Ok(Item::Peer),
        _ => {
            let (plain, prefix) = text.strip_suffix('*').map_or((text, false), |t| (t, true));
            let fine = |c: char| c == '\'' || c.is_alphanumeric() && !c.is_uppercase();
            if plain.is_empty() || !plain.chars().all(fine) {
                return Err(format!("\"{text}\" is not a word in small letters"));
            }
            Ok(if prefix { Item::Prefix(plain.to_owned()) } else { Item::Word(plain.to_owned()) })
        }
    }
}

/// The place after the last word that the items take from `at` on.
fn follow(items: &[Item], words: &[Word], at: usize, peers: &BTreeSet<String>) -> Option<usize> {
    let Some((first, rest)) = items.split_first() else { return Some(at) };
    if *first == Item::Gap {
        return (at..=words.len().min(at + GAP_WORDS_MAX)).find_map(|next| follow(rest, words, next, peers));
    }
    matches(first, &words.get(at)?.text, peers).then(|| follow(rest, words, at + 1, peers))?
}

fn matches(item: &Item, word: &str, peers: &BTreeSet<String>) -> bool {
    match item {
        Item::Word(text) => text == word,
        Item::Prefix(text) => word.starts_with(text.as_str()),
        Item::OneOf(items) => items.iter().any(|i| matches(i, word, peers)),
        Item::Any => true,
        Item::Gap => false,
        Item::Peer => peers.contains(word.strip_suffix("'s").unwrap_or(word)),
    }
}

/// The first names by which others may be called, in small letters.
pub fn first_names<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.filter_map(|n| n.split_whitespace().next()).map(|n| n.to_lowercase().replace('’', "'")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(cue: &str, text: &'a str) -> Option<&'a str> {
        let peers = first_names(["Tomás Rivera", "Priya"].into_iter());
        Cue::parse(cue).unwrap().find(&sentences(text), &peers).map(|(start, end)| &text[start..end])
    }

    #[test]
    fn words_match_whatever_their_case_and_apostrophe() {
        assert_eq!(found("you're right", "Okay, You’re right."), Some("You’re right"));
        assert_eq!(found("right", "That's all right!"), Some("right"));
        assert_eq!(found("right", "copyright"), None);
    }

    #[test]
    fn each_kind_of_item() {
        assert_eq!(found("i changed (my|our) mind", "Well, I changed my mind."), Some("I changed my mind"));
        assert_eq!(found("(must have|looks) been", "It must have been"), Some("must have been"));
        assert_eq!(found("apolog*", "We apologized."), Some("apologized"));
        assert_eq!(found("that _ idea", "It was that great idea"), Some("that great idea"));
        assert_eq!(found("first ... then", "First you rinse, then pour"), Some("First you rinse, then"));
        assert_eq!(found("first ... then", "First a b c d e f g then"), None);
        assert_eq!(found("{peer} idea", "That was Tomás’s idea"), Some("Tomás’s idea"));
        assert_eq!(found("{peer} idea", "That was Devin's idea"), None);
        assert_eq!(found("^why ?", "Why not?"), Some("Why"));
        assert_eq!(found("^why ?", "Tell me why. Okay?"), None);
    }

    #[test]
    fn a_cue_stays_in_its_sentence() {
        assert_eq!(found("good idea", "That's good. Idea two."), None);
        assert_eq!(found("good idea", "That's good, idea two."), Some("good, idea"));
    }

    #[test]
    fn what_is_read_aloud_does_not_count() {
        assert_eq!(found("i am sorry", "It says \"I am sorry\" here"), None);
        assert_eq!(found("i am sorry", "It says “I am sorry” here"), None);
        assert_eq!(found("it says here", "It says \"I am sorry\" here"), Some("It says \"I am sorry\" here"));
        assert_eq!(found("i am sorry", "12\" long, I am sorry"), Some("I am sorry"));
    }

    #[test]
    fn a_malformed_cue_is_an_error() {
        for cue in ["", "...", "Upper", "(a|b", "a,b", "^?"] {
            assert!(Cue::parse(cue).is_err(), "{cue}");
        }
    }
}
