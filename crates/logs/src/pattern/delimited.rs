use std::collections::BTreeMap;

use super::PatternError;
use super::condition::{Comparison, Condition, Operator};
use super::scanner::Scanner;

/// `[ip, user, ..., status = 4*, bytes > 1000]` on messages that are fields with spaces between.
#[derive(Clone, Debug)]
pub(super) struct Delimited {
    /// Fields from the left.
    before: Vec<Field>,
    /// Fields from the right, where there is an ellipsis.
    behind: Option<Vec<Field>>,
}

#[derive(Clone, Debug)]
struct Field {
    /// Empty: known by its position.
    name: String,
    condition: Option<Condition<Comparison>>,
}

impl Delimited {
    pub fn parse(text: &str) -> Result<Delimited, PatternError> {
        let mut scanner = Scanner::new(text);
        scanner.expect("[")?;
        let mut before = Vec::new();
        let mut behind: Option<Vec<Field>> = None;
        loop {
            if scanner.eat("...") {
                if behind.is_some() {
                    return scanner.unexpected("a pattern can have one ellipsis");
                }
                behind = Some(Vec::new());
            } else {
                let field = field(&mut scanner)?;
                behind.as_mut().unwrap_or(&mut before).push(field);
            }
            if !scanner.eat(",") {
                break;
            }
        }
        scanner.expect("]")?;
        if !scanner.at_end() {
            return scanner.unexpected("nothing can follow the closing bracket");
        }
        Ok(Delimited { before, behind })
    }

    pub fn matches(&self, message: &str) -> bool {
        self.pair(&split(message)).is_some()
    }

    pub fn extract(&self, message: &str) -> Option<BTreeMap<String, String>> {
        let words = split(message);
        let names = self.pair(&words)?;
        let named = names.into_iter().zip(&words).enumerate();
        let name = |index: usize, name: &str| match name {
            "" => format!("${}", index + 1),
            name => format!("${name}"),
        };
        Some(named.map(|(index, (field, word))| (name(index, field), (*word).to_owned())).collect())
    }

    /// The name of the field for each word, if the words match.
    fn pair<'a>(&'a self, words: &[&str]) -> Option<Vec<&'a str>> {
        let behind = self.behind.as_deref();
        let fixed = self.before.len() + behind.map_or(0, <[Field]>::len);
        if words.len() < fixed || behind.is_none() && words.len() > fixed {
            return None;
        }
        let skipped = words.len() - fixed;
        let first_behind = self.before.len() + skipped;
        let mut names: Vec<&str> = Vec::with_capacity(words.len());
        for (field, word) in self.before.iter().zip(words) {
            names.push(field.check(word)?);
        }
        names.resize(first_behind, "");
        for (field, word) in behind.unwrap_or_default().iter().zip(&words[first_behind..]) {
            names.push(field.check(word)?);
        }
        Some(names)
    }
}

impl Field {
    /// The field's name, if the word is as it wants.
    fn check(&self, word: &str) -> Option<&str> {
        let number = word.parse::<f64>().ok().filter(|n| n.is_finite());
        let holds = |comparison: &Comparison| comparison.holds(word, number, true);
        self.condition.as_ref().is_none_or(|c| c.holds(&holds)).then_some(self.name.as_str())
    }
}

fn field(scanner: &mut Scanner<'_>) -> Result<Field, PatternError> {
    scanner.skip_space();
    if matches!(scanner.peek(), Some(',' | ']')) {
        return Ok(Field { name: String::new(), condition: None });
    }
    // A name alone, or comparisons that all begin with it.
    let rest = scanner.rest();
    let mut name = String::new();
    let mut probe = Scanner::new(rest);
    let alone = word(&mut probe);
    probe.skip_space();
    if !alone.is_empty() && matches!(probe.peek(), Some(',' | ']')) {
        scanner.eat(alone);
        return Ok(Field { name: alone.to_owned(), condition: None });
    }
    let condition = Condition::parse(scanner, &mut |scanner| {
        scanner.skip_space();
        let found = word(scanner);
        if found.is_empty() {
            return scanner.unexpected("expected a field's name");
        }
        if !name.is_empty() && name != found {
            return scanner.unexpected(&format!("the conditions of field {name} cannot be about {found}"));
        }
        name = found.to_owned();
        let Some(operator) = Operator::parse(scanner) else {
            return scanner.unexpected("expected a comparison");
        };
        let operand = scanner.operand(|c| matches!(c, ',' | ']' | ')' | '&' | '|'))?;
        Comparison::new(operator, operand, scanner)
    })?;
    Ok(Field { name, condition: Some(condition) })
}

fn word<'a>(scanner: &mut Scanner<'a>) -> &'a str {
    scanner.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// The fields of a message: what stands between spaces, in brackets or in quotes.
fn split(message: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = message.trim();
    while let Some(first) = rest.chars().next() {
        let closing = match first {
            '[' => Some(']'),
            '"' => Some('"'),
            _ => None,
        };
        // Without its end, a bracket or quote is a character like any other.
        let enclosed =
            closing.and_then(|closing| rest[1..].find(closing)).map(|end| (&rest[1..=end], &rest[end + 2..]));
        let (word, behind) = enclosed.unwrap_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest.split_at(end)
        });
        words.push(word);
        rest = behind.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn fields_of_a_line() {
        let line = r#"127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404  1534"#;
        let expected =
            ["127.0.0.1", "-", "frank", "10/Oct/2000:13:25:15 -0700", "GET /index.html HTTP/1.0", "404", "1534"];
        assert_eq!(split(line), expected);
        assert_eq!(split(r#"a "open [b] """#), ["a", "open [b] ", "\""]);
        assert_eq!(split("[x \u{fc}"), ["[x", "\u{fc}"]);
        assert!(split("  ").is_empty());
    }
}
