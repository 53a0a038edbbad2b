//! Expressions as data: `tests/data/*.json` hold an item, an expression, and what comes of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::{AttributeValue, Checked, Item};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What this file is about; for readers.
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    items: BTreeMap<String, Checked<Item>>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    values: BTreeMap<String, Checked<AttributeValue>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    expression: String,
    /// Repeats the expression's text so often, for limits.
    #[serde(default)]
    repeat: Option<(String, usize, String)>,
    #[serde(default)]
    item: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    values: BTreeMap<String, Checked<AttributeValue>>,
    /// Whether the condition holds, what is projected, or the item after the update.
    #[serde(default)]
    gives: Option<Value>,
    #[serde(default)]
    error: Option<String>,
}

impl File {
    fn read(text: &str) -> File {
        serde_json::from_str(text).unwrap()
    }

    fn run(&self, evaluate: impl Fn(&str, &mut Placeholders, &Item) -> Result<Value, String>) {
        let mut failed = 0;
        for case in &self.cases {
            let mut names = self.names.clone();
            names.extend(case.names.clone());
            let mut values: BTreeMap<_, _> = self.values.iter().map(|(k, v)| (k.clone(), v.peek().clone())).collect();
            values.extend(case.values.iter().map(|(k, v)| (k.clone(), v.clone().get().unwrap())));
            let item = case.item.as_deref().unwrap_or("default");
            let item = self.items.get(item).map(|i| i.clone().get().unwrap()).unwrap_or_default();
            let repeated =
                case.repeat.as_ref().map(|(head, n, tail)| format!("{head}{}{tail}", case.expression.repeat(*n)));
            let source = repeated.as_deref().unwrap_or(&case.expression);
            let wanted = match (&case.gives, &case.error) {
                (Some(gives), None) => Ok(gives.clone()),
                (None, Some(error)) => Err(error.clone()),
                _ => panic!("{source}: a case gives something or is an error"),
            };
            let found = evaluate(source, &mut Placeholders::new(names, values), &item);
            if found != wanted {
                failed += 1;
                println!("{source}\n  wanted {wanted:?}\n  found  {found:?}");
            }
        }
        assert_eq!(failed, 0, "of {} cases", self.cases.len());
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[test]
fn conditions() {
    File::read(include_str!("../../tests/data/condition.json")).run(|source, placeholders, item| {
        Condition::parse(source, placeholders).map(|c| Value::Bool(c.holds(item))).map_err(text)
    });
}

#[test]
fn updates() {
    File::read(include_str!("../../tests/data/update.json")).run(|source, placeholders, item| {
        let update = Update::parse(source, placeholders).map_err(text)?;
        update.apply(item).map(|i| serde_json::to_value(i).unwrap()).map_err(text)
    });
}

#[test]
fn projections() {
    File::read(include_str!("../../tests/data/projection.json")).run(|source, placeholders, item| {
        Projection::parse(source, placeholders).map(|p| serde_json::to_value(p.apply(item)).unwrap()).map_err(text)
    });
}

#[test]
fn key_conditions() {
    File::read(include_str!("../../tests/data/key_condition.json")).run(|source, placeholders, _| {
        let key = KeyCondition::parse(source, placeholders).map_err(text)?;
        Ok(key.names().map(|n| format!("{n}: {:?}", key.get(n).unwrap())).collect())
    });
}

#[test]
fn unused_placeholders_are_named() {
    let names = BTreeMap::from([("#a".to_owned(), "a".to_owned()), ("#b".to_owned(), "b".to_owned())]);
    let values = BTreeMap::from([(":v".to_owned(), AttributeValue::Null), (":w".to_owned(), AttributeValue::Null)]);
    let mut placeholders = Placeholders::new(names, values);
    let unused = |p: &Placeholders| p.check_used().unwrap_err().to_string();
    assert_eq!(
        unused(&placeholders),
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}"
    );
    Condition::parse("#a = :v AND attribute_exists(#b)", &mut placeholders).unwrap();
    assert_eq!(unused(&placeholders), "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}");
    Condition::parse("x = :w", &mut placeholders).unwrap();
    assert_eq!(placeholders.check_used(), Ok(()));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(source in "[a-c#:()\\[\\]., =<>+\\-0-9]{0,40}|(SET|REMOVE|ADD|a|:v|NOT|AND|\\(|\\)|,|=| ){0,30}") {
        let mut placeholders = Placeholders::default();
        let _ = Condition::parse(&source, &mut placeholders);
        let _ = Update::parse(&source, &mut placeholders);
        let _ = Projection::parse(&source, &mut placeholders);
    }
}
