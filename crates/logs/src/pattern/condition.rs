//! Comparisons, and how they are joined, in JSON and space-delimited patterns alike.

use regex_lite::Regex;

use super::PatternError;
use super::scanner::Scanner;

/// Tests joined by `&&` and `||`.
#[derive(Clone, Debug)]
pub(super) enum Condition<T> {
    And(Vec<Condition<T>>),
    Or(Vec<Condition<T>>),
    Test(T),
}

impl<T> Condition<T> {
    /// Reads a condition; `test` reads one comparison.
    pub fn parse(
        scanner: &mut Scanner<'_>,
        test: &mut dyn FnMut(&mut Scanner<'_>) -> Result<T, PatternError>,
    ) -> Result<Condition<T>, PatternError> {
        let mut any = vec![Condition::all(scanner, test)?];
        while scanner.eat("||") {
            any.push(Condition::all(scanner, test)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Or(any) })
    }

    fn all(
        scanner: &mut Scanner<'_>,
        test: &mut dyn FnMut(&mut Scanner<'_>) -> Result<T, PatternError>,
    ) -> Result<Condition<T>, PatternError> {
        let mut all = vec![Condition::one(scanner, test)?];
        while scanner.eat("&&") {
            all.push(Condition::one(scanner, test)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::And(all) })
    }

    fn one(
        scanner: &mut Scanner<'_>,
        test: &mut dyn FnMut(&mut Scanner<'_>) -> Result<T, PatternError>,
    ) -> Result<Condition<T>, PatternError> {
        if scanner.eat("(") {
            scanner.nest(true)?;
            let inner = Condition::parse(scanner, test)?;
            scanner.expect(")")?;
            scanner.nest(false)?;
            return Ok(inner);
        }
        test(scanner).map(Condition::Test)
    }

    pub fn holds(&self, test: &dyn Fn(&T) -> bool) -> bool {
        match self {
            Condition::And(all) => all.iter().all(|c| c.holds(test)),
            Condition::Or(any) => any.iter().any(|c| c.holds(test)),
            Condition::Test(one) => test(one),
        }
    }

    pub fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a T)) {
        match self {
            Condition::And(many) | Condition::Or(many) => many.iter().for_each(|c| c.for_each(visit)),
            Condition::Test(one) => visit(one),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Reads an operator, if one comes next.
    pub fn parse(scanner: &mut Scanner<'_>) -> Option<Operator> {
        // The longer ones first.
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        operators.into_iter().find(|(token, _)| scanner.eat(token)).map(|(_, operator)| operator)
    }

    fn compare(self, left: f64, right: f64) -> bool {
        match self {
            Operator::Equal => left == right,
            Operator::NotEqual => left != right,
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            Operator::GreaterOrEqual => left >= right,
        }
    }
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    /// May contain `*`, which stands for any text. Quoted ones are never numbers.
    Text {
        text: String,
        quoted: bool,
    },
    Number {
        text: String,
        number: f64,
    },
    Regex(Regex),
}

impl Operand {
    pub fn quoted(text: String) -> Operand {
        Operand::Text { text, quoted: true }
    }

    pub fn bare(text: &str) -> Operand {
        // Only what looks like a number: "inf" and "nan" are texts.
        let numeric = text.bytes().any(|b| b.is_ascii_digit()) && !text.bytes().any(|b| matches!(b, b'i' | b'n'));
        match text.parse::<f64>() {
            Ok(number) if numeric && number.is_finite() => Operand::Number { text: text.to_owned(), number },
            _ => Operand::Text { text: text.to_owned(), quoted: false },
        }
    }
}

/// Compares a value: its text, and the number it is, if it is one.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub operator: Operator,
    pub operand: Operand,
}

impl Comparison {
    /// Checks that the operator can be used with the operand.
    pub fn new(operator: Operator, operand: Operand, scanner: &Scanner<'_>) -> Result<Comparison, PatternError> {
        let ordering = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordering && !matches!(operand, Operand::Number { .. }) {
            return scanner.unexpected("only numbers can be compared with <, <=, > and >=");
        }
        Ok(Comparison { operator, operand })
    }

    /// `text` is how the value is written; `is_text` says that it is a JSON string rather than a number.
    pub fn holds(&self, text: &str, number: Option<f64>, is_text: bool) -> bool {
        let equal = match &self.operand {
            Operand::Regex(regex) => regex.is_match(text),
            Operand::Text { quoted: true, .. } if !is_text => false,
            Operand::Text { text: pattern, .. } => wildcard(pattern, text),
            Operand::Number { text: pattern, number: right } => match (self.operator, number) {
                (Operator::Equal | Operator::NotEqual, None) => pattern == text,
                (Operator::Equal | Operator::NotEqual, Some(left)) => left == *right,
                (operator, left) => return left.is_some_and(|left| operator.compare(left, *right)),
            },
        };
        equal == (self.operator == Operator::Equal)
    }
}

/// Whether `pattern`, in which `*` stands for any text, is all of `text`.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*b*", "abc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("*", "", true),
            ("**", "x", true),
            ("a*a", "a", false),
            ("ab*bc", "abc", false),
            ("*aab", "aaab", true),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }
}
