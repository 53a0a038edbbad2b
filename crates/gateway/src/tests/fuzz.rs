//! No input panics, and encoders say what decoders read.

use std::sync::OnceLock;

use http::Request;
use http::request::Parts;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::host::{endpoint, is_foreign_origin, virtual_bucket};
use crate::json::is_deeper_than;
use crate::model::Models;
use crate::query::{self, Parameters};
use crate::rest;
use crate::route::classify;
use crate::sign::{Signature, Verifier};
use crate::{Credential, xml};

fn parts(method: &str, target: &str, headers: &[(String, String)]) -> Option<Parts> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(()).ok().map(|r| r.into_parts().0)
}

fn models() -> &'static Models {
    static MODELS: OnceLock<Models> = OnceLock::new();
    MODELS.get_or_init(|| Models::load(|_| true).unwrap())
}

/// Names and values that come near to what the decoders look for.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "(Tags|Attribute|Entries|MessageAttribute|Parameters|member|entry|key|value|Name|Value|Key)(\\.[0-9]{1,3})?",
        "(AWS4-HMAC-SHA256 |Credential=|SignedHeaders=|Signature=|a/b/c/sqs/aws4_request|,|;){0,6}",
        "(2015-03-31|functions|\\{|%2F|%|\\.\\.|//|invocations|event-source-mappings|a){0,5}",
        "X-Amz-(Credential|Date|Expires|SignedHeaders|Signature|Algorithm)",
    ]
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        Just("authorization".to_owned()),
        Just("x-amz-target".to_owned()),
        Just("host".to_owned()),
        Just("content-type".to_owned()),
        Just("x-amz-date".to_owned()),
    ];
    vec((name, vec(word(), 0..6).prop_map(|w| w.concat())), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn routing_and_signatures(method in "(GET|POST|PUT|DELETE|X)", path in vec(word(), 0..6), query in vec((word(), word()), 0..6), headers in headers()) {
        let models = models();
        let query: Vec<_> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let target: String = format!("/{}?{}", path.join("/"), query.join("&"));
        let target: String = target.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
        let Some(parts) = parts(&method, &target, &headers) else { return Ok(()) };
        let signature = Signature::read(&parts);
        let _ = classify(models, &parts, signature.as_ref());
        if let Some(signature) = &signature {
            let credential = Credential::root("a", "s", "000000000000");
            let verifier = Verifier { signature, credential: &credential };
            let _ = verifier.check_head(&parts, true, base::Timestamp::from_millis(0));
            prop_assert!(verifier.check_signature(&parts, b"body").is_err());
        }
        for model in models.0.iter().filter(|m| m.rest) {
            if let Some(matched) = rest::find(model, &parts) {
                let _ = rest::decode(&matched, &parts, bytes::Bytes::from_static(b"{\"a\":1}"));
            }
        }
    }

    #[test]
    fn query_inputs(pairs in vec((vec(word(), 1..5), word()), 0..12), noise in vec(any::<u8>(), 0..30)) {
        let models = models();
        let text: Vec<_> = pairs.iter().map(|(n, v)| format!("{}={v}", n.join("."))).collect();
        let _ = Parameters::read(&noise, text.join("&").as_bytes());
        let plain = text.join("&").replace('%', "");
        let parameters = Parameters::read(b"", plain.as_bytes()).unwrap();
        for model in models.0.iter().filter(|m| m.query.is_some()) {
            for (name, operation) in &model.operations {
                if let Ok(input) = query::decode(model, operation, &parameters) {
                    prop_assert!(input.is_object());
                    let _ = query::encode(model, name, operation, &input, "id");
                }
            }
        }
    }

    #[test]
    fn depth_is_what_the_parser_finds(text in "[\\[\\]{}\":,a\\\\1 ]{0,40}", depth_max in 0usize..6) {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(is_deeper_than(text.as_bytes(), depth_max), depth(&value) > depth_max);
        } else {
            let _ = is_deeper_than(text.as_bytes(), depth_max);
        }
    }

    #[test]
    fn hosts_and_texts(text in any::<String>()) {
        let _ = (virtual_bucket(&text), is_foreign_origin(&text), endpoint(Some(&text), "127.0.0.1:1"));
        let mut out = String::new();
        xml::escape(&mut out, &text);
        prop_assert!(!out.contains(['<', '>', '"', '\r', '\0']));
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
