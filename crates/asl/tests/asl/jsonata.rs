//! What JSONata expressions tell of themselves, and how they fail; what they evaluate to is in `data/jsonata`.

use std::sync::Arc;

use asl::{Jsonata, JsonataEnv, JsonataError, JsonataLimits, NO_VARIABLES, States};
use base::Timestamp;
use serde_json::Value;

fn evaluate(text: &str, input: &Value) -> Result<Option<Value>, JsonataError> {
    Jsonata::compile(text)?.evaluate(&mut JsonataEnv {
        states: Some(States { input, context: &Value::Null, result: None, error_output: None }),
        variables: &NO_VARIABLES,
        now: Timestamp::from_millis(0),
        random: &mut || 7,
        limits: JsonataLimits::default(),
    })
}

#[test]
fn is_shared_between_threads() {
    fn check<T: Send + Sync + Clone + PartialEq + std::fmt::Debug>(_: &T) {}
    let expression = Arc::new(Jsonata::parse("1 + 1").expect("an expression"));
    check(&*expression);
}

#[test]
fn tells_what_it_reads() {
    let variables = |text: &str| -> Vec<(String, Option<String>, usize)> {
        let expression = Jsonata::parse(text).expect(text);
        let found = expression.variables().iter();
        found.map(|v| (v.name.to_string(), v.member.as_deref().map(Into::into), v.offset)).collect()
    };
    let use_of = |name: &str, member: Option<&str>, offset| (name.to_owned(), member.map(str::to_owned), offset);
    assert_eq!(
        variables("$states.errorOutput.Cause & ($x := 1; $x + $y)"),
        [use_of("states", Some("errorOutput"), 0), use_of("y", None, 43)]
    );
    assert_eq!(variables("$states.`input`.a"), [use_of("states", Some("input"), 0)]);
    assert_eq!(variables("$states[0].input"), [use_of("states", Some("input"), 0)]);
    assert_eq!(variables("$keys($states)"), [use_of("states", None, 6)]);
    assert_eq!(variables("'$a' & /* $b */ `$c` & \"$d\" & /$e/.$f"), [use_of("f", None, 35)]);
    // Read before it is bound; a function sees what is bound by the time it is called.
    assert_eq!(variables("($y := $y + 1; $y)"), [use_of("y", None, 7)]);
    assert_eq!(
        variables("($f := function($p) { $p + $g() + $z }; $g := function() { 1 }; $f(1))"),
        [use_of("z", None, 34)]
    );
    assert_eq!(variables("(($x := 1); $x)"), [use_of("x", None, 12)]);
    assert_eq!(variables("$items@$i#$n[$i > $n].$i{ $k: $n }"), [use_of("items", None, 0), use_of("k", None, 26)]);
    assert_eq!(variables("$sum($map($list, $uppercase))"), [use_of("list", None, 10)]);
}

#[test]
fn tells_what_it_reads_at_the_top_level() {
    let names = |text: &str| -> Vec<String> {
        let expression = Jsonata::parse(text).expect(text);
        expression.top_level_references().iter().map(|reference| reference.name.to_string()).collect()
    };
    assert_eq!(names("phone & $states.input.(a & b)[c]^(d){ e: f }"), ["phone"]);
    assert_eq!(names("$uppercase(name) & $$.x & $ & *"), ["name", "$$", "$", "*"]);
    assert_eq!(names("$states.input ~> |a|{ 'b': c }|"), [""; 0]);
    assert_eq!(names("$map($states.input, function($x) { y })"), ["y"]);
}

#[test]
fn data_is_passed_on_as_it_is() {
    let text =
        r#"{"big":9007199254740993,"bigger":18446744073709551615,"whole":1.0,"order":{"z":1,"a":2},"deep":[[[]]]}"#;
    let input: Value = serde_json::from_str(text).expect("JSON");
    let passed = evaluate("$states.input", &input).expect("a value").expect("one");
    assert_eq!(passed["big"].as_i64(), Some(9_007_199_254_740_993));
    assert_eq!(passed["order"].to_string(), r#"{"z":1,"a":2}"#);
    assert_eq!(evaluate("$states.input.whole", &input).expect("a value").expect("one").to_string(), "1");
}

#[test]
fn syntax_errors_are_worded_as_aws_does() {
    for (text, message, offset) in [
        ("a[1,2)", "Expected \"]\", got \",\"", 3),
        ("\"unterminated", "String literal must be terminated by a matching quote", 0),
        ("1 +", "Unexpected end of expression", 3),
        ("{\"a\":}", "The symbol \"}\" cannot be used as a unary operator", 5),
        ("$x :=", "Unexpected end of expression", 5),
        ("$match(\"a\", /abc", "No terminating / in regular expression", 12),
    ] {
        let error = Jsonata::parse(text).expect_err(text);
        assert_eq!((error.message.as_str(), error.offset), (message, offset), "{text}");
    }
}

#[test]
fn a_failure_tells_where() {
    let offset = |text: &str| evaluate(text, &Value::Null).expect_err(text).offset;
    assert_eq!(offset("1 + (2 & 3) * 'a'"), Some(12));
    assert_eq!(offset("[1, $sum('a')]"), Some(8));
    assert_eq!(offset("$map([1], function($x) { $x + 'a' })"), Some(28));
}

/// Every "`expression` is `value`" of the page.
#[test]
fn the_examples_of_the_docs_hold() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/jsonata.md");
    let page = std::fs::read_to_string(page).expect("docs/jsonata.md");
    let page = page.replace("` is\n`", "` is `");
    let mut checked = 0;
    for (at, _) in page.match_indices("` is `") {
        let start = page[..at].rfind('`').expect("an opening mark") + 1;
        let rest = &page[at + 6..];
        let value = &rest[..rest.find('`').expect("a closing mark")];
        let Ok(value) = serde_json::from_str::<Value>(value) else { continue };
        let expression = &page[start..at];
        assert_eq!(evaluate(expression, &Value::Null), Ok(Some(value)), "{expression}");
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} examples found");
}
