use std::collections::BTreeMap;

use serde_json::Value;

use super::PatternError;
use super::condition::{Comparison, Condition, Operator};
use super::scanner::Scanner;

/// `{ $.a.b = "x*" && ($.n > 3 || $.l[0] IS NULL) }` on messages that are JSON objects.
#[derive(Clone, Debug)]
pub(super) struct JsonPattern {
    condition: Condition<Test>,
}

#[derive(Clone, Debug)]
struct Test {
    selector: Selector,
    check: Check,
}

#[derive(Clone, Debug)]
enum Check {
    Compare(Comparison),
    Is(Value),
    Exists(bool),
}

/// A path into a message, and how it was written.
#[derive(Clone, Debug)]
struct Selector {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Element(usize),
    AnyElement,
}

impl JsonPattern {
    pub fn parse(text: &str) -> Result<JsonPattern, PatternError> {
        let mut scanner = Scanner::new(text);
        scanner.expect("{")?;
        let condition = Condition::parse(&mut scanner, &mut |scanner| test(scanner))?;
        scanner.expect("}")?;
        if !scanner.at_end() {
            return scanner.unexpected("nothing can follow the closing brace");
        }
        Ok(JsonPattern { condition })
    }

    pub fn matches(&self, message: &str) -> bool {
        self.read(message).is_some()
    }

    pub fn extract(&self, message: &str) -> Option<BTreeMap<String, String>> {
        let value = self.read(message)?;
        let mut fields = BTreeMap::new();
        self.condition.for_each(&mut |test| {
            if let Some(found) = test.selector.find(&value).first() {
                let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                fields.insert(test.selector.text.clone(), text);
            }
        });
        Some(fields)
    }

    /// The message as JSON, if it matches.
    fn read(&self, message: &str) -> Option<Value> {
        let value: Value = serde_json::from_str(message.trim()).ok().filter(Value::is_object)?;
        self.condition.holds(&|test| test.holds(&value)).then_some(value)
    }
}

impl Test {
    fn holds(&self, message: &Value) -> bool {
        let found = self.selector.find(message);
        match &self.check {
            Check::Exists(wanted) => found.is_empty() != *wanted,
            Check::Is(wanted) => found.contains(&wanted),
            Check::Compare(comparison) => found.iter().any(|value| match value {
                Value::String(text) => comparison.holds(text, None, true),
                Value::Number(number) => comparison.holds(&number.to_string(), number.as_f64(), false),
                Value::Bool(flag) => comparison.holds(if *flag { "true" } else { "false" }, None, false),
                _ => false,
            }),
        }
    }
}

fn test(scanner: &mut Scanner<'_>) -> Result<Test, PatternError> {
    let selector = selector(scanner)?;
    if let Some(operator) = Operator::parse(scanner) {
        let operand = scanner.operand(|c| matches!(c, ')' | '}' | '&' | '|'))?;
        return Ok(Test { selector, check: Check::Compare(Comparison::new(operator, operand, scanner)?) });
    }
    let check = if scanner.eat_word("IS") {
        if scanner.eat_word("TRUE") {
            Check::Is(Value::Bool(true))
        } else if scanner.eat_word("FALSE") {
            Check::Is(Value::Bool(false))
        } else if scanner.eat_word("NULL") {
            Check::Is(Value::Null)
        } else {
            return scanner.unexpected("expected TRUE, FALSE or NULL");
        }
    } else if scanner.eat_word("NOT") {
        if !scanner.eat_word("EXISTS") {
            return scanner.unexpected("expected EXISTS");
        }
        Check::Exists(false)
    } else if scanner.eat_word("EXISTS") {
        Check::Exists(true)
    } else {
        return scanner.unexpected("expected a comparison");
    };
    Ok(Test { selector, check })
}

fn selector(scanner: &mut Scanner<'_>) -> Result<Selector, PatternError> {
    scanner.skip_space();
    let start = scanner.rest();
    if scanner.peek() != Some('$') {
        return scanner.unexpected("expected a property selector, which begins with $");
    }
    scanner.bump();
    let mut steps = Vec::new();
    loop {
        match scanner.peek() {
            Some('.') => {
                scanner.bump();
                if scanner.peek() == Some('[') {
                    continue;
                }
                let name = scanner.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '@' | '/'));
                if name.is_empty() {
                    return scanner.unexpected("expected a property's name");
                }
                steps.push(Step::Member(name.to_owned()));
            }
            Some('[') => {
                scanner.bump();
                steps.push(bracket(scanner)?);
            }
            _ => break,
        }
    }
    let text = start[..start.len() - scanner.rest().len()].to_owned();
    Ok(Selector { text, steps })
}

/// `n]`, `*]`, `"name"]` or `'name']`.
fn bracket(scanner: &mut Scanner<'_>) -> Result<Step, PatternError> {
    let step = match scanner.peek() {
        Some('\'' | '"') => Step::Member(scanner.quoted()?),
        Some('*') => {
            scanner.bump();
            Step::AnyElement
        }
        _ => match scanner.take_while(|c| c.is_ascii_digit()).parse() {
            Ok(index) => Step::Element(index),
            Err(_) => return scanner.unexpected("expected an index, * or a property's name"),
        },
    };
    scanner.expect("]")?;
    Ok(step)
}

impl Selector {
    /// What the message holds there: several values where the path goes through all elements of a list.
    fn find<'a>(&self, message: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![message];
        for step in &self.steps {
            found = found
                .into_iter()
                .flat_map(|value| match step {
                    Step::Member(name) => value.get(name).into_iter().collect(),
                    Step::Element(index) => value.get(*index).into_iter().collect(),
                    Step::AnyElement => value.as_array().map_or(Vec::new(), |list| list.iter().collect()),
                })
                .collect();
        }
        found
    }
}
