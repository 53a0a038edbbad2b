use serde_json::{Value, json};

use super::Fixture;
use crate::Pattern;

/// `patterns.json`: patterns, and messages that they match or do not, what they extract, or why they are refused.
#[test]
fn patterns_do_what_the_table_says() {
    let table: Vec<Value> = serde_json::from_str(include_str!("patterns.json")).unwrap();
    for row in table {
        let text = row["pattern"].as_str().unwrap();
        let parsed = Pattern::parse(text);
        if let Some(error) = row["error"].as_str() {
            assert_eq!(parsed.unwrap_err().0, error, "{text}");
            continue;
        }
        let pattern = parsed.unwrap_or_else(|e| panic!("{text}: {e}"));
        for (key, expected) in [("yes", true), ("no", false)] {
            for message in row[key].as_array().into_iter().flatten() {
                let message = message.as_str().unwrap();
                assert_eq!(pattern.matches(message), expected, "{text} on {message}");
                assert_eq!(pattern.extract(message).is_some(), expected, "{text} on {message}");
            }
        }
        for (message, expected) in row["extract"].as_object().into_iter().flatten() {
            assert_eq!(json!(pattern.extract(message)), *expected, "{text} on {message}");
        }
    }
}

#[test]
fn no_pattern_and_no_message_is_too_strange() {
    let long = "(".repeat(1020);
    for text in
        [format!("{{{long}"), "{ $".to_owned(), "[".to_owned(), "[,,,".to_owned(), "{ $.a[".to_owned(), "-".to_owned()]
    {
        assert!(Pattern::parse(&text).is_err(), "{text}");
    }
    assert!(Pattern::parse(&"a".repeat(1025)).is_err());
    assert!(Pattern::parse(&format!("%{}%", "(a{1,1000}){1,1000}")).is_err(), "too large a regular expression");
    let pattern = Pattern::parse("{ $.a = 1 }").unwrap();
    assert!(!pattern.matches(&"[".repeat(100_000)));
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_pattern_or_an_error(text in "[\\[\\]{}()$.=<>!&|%\"'*?a-c0-2, -]{0,40}", message in "[a-c0-2 \"\\[\\]{}:]{0,20}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            proptest::prop_assert_eq!(pattern.matches(&message), pattern.extract(&message).is_some());
        }
    }
}

#[tokio::test]
async fn metric_filters_can_be_tested() {
    let f = Fixture::new().await;
    let input = json!({"filterPattern": "[ip, status = 4*]", "logEventMessages": ["a 200", "b 404", "c 410"]});
    let found = f.ok("TestMetricFilter", input).await;
    assert_eq!(
        found["matches"],
        json!([
            {"eventNumber": 2, "eventMessage": "b 404", "extractedValues": {"$ip": "b", "$status": "404"}},
            {"eventNumber": 3, "eventMessage": "c 410", "extractedValues": {"$ip": "c", "$status": "410"}},
        ])
    );
    let fault = f.fault("TestMetricFilter", json!({"filterPattern": "{", "logEventMessages": ["a"]})).await;
    assert_eq!(fault.code, "InvalidParameterException");
}
