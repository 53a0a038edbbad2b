use regex_lite::Regex;

use super::scanner::Scanner;
use super::{PatternError, refuse};

/// Terms anywhere in a message: all of the plain ones, none of the excluded ones; or any of the optional ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    required: Vec<Term>,
    excluded: Vec<Term>,
    optional: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Term::Text(text) => message.contains(text.as_str()),
            Term::Regex(regex) => regex.is_match(message),
        }
    }
}

impl Terms {
    pub fn parse(text: &str) -> Result<Terms, PatternError> {
        let mut scanner = Scanner::new(text);
        let mut terms = Terms::default();
        while !scanner.at_end() {
            let list = match scanner.peek() {
                Some('-') => &mut terms.excluded,
                Some('?') => &mut terms.optional,
                _ => &mut terms.required,
            };
            if matches!(scanner.peek(), Some('-' | '?')) {
                scanner.bump();
            }
            list.push(term(&mut scanner)?);
        }
        Ok(terms)
    }

    pub fn matches(&self, message: &str) -> bool {
        // AWS ignores optional terms beside any others.
        if self.required.is_empty() && self.excluded.is_empty() {
            return self.optional.iter().any(|term| term.is_in(message));
        }
        self.required.iter().all(|term| term.is_in(message)) && !self.excluded.iter().any(|term| term.is_in(message))
    }
}

fn term(scanner: &mut Scanner<'_>) -> Result<Term, PatternError> {
    match scanner.peek() {
        Some('"') => scanner.quoted().map(Term::Text),
        Some('%') => scanner.regex().map(Term::Regex),
        _ => {
            let word = scanner.take_while(|c| !c.is_whitespace());
            if word.is_empty()
                || word.contains(['"', '{', '}', '[', ']', '(', ')', '%', '=', '<', '>', '!', '&', '|', ',', ';'])
            {
                return refuse(format!("Invalid character(s) in term '{word}'"));
            }
            Ok(Term::Text(word.to_owned()))
        }
    }
}
