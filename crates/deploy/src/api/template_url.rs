//! Templates by URL: objects of our own S3, whatever host the URL names.

use serde_json::json;
use service::{Call, Fault};

use crate::Deployer;
use crate::engine::refused;
use crate::template::limits::TEMPLATE_BYTES_MAX;

/// Reads the object that a URL names.
pub(super) async fn fetch(deployer: &Deployer, call: &Call, url: &str) -> Result<String, Fault> {
    let (bucket, key) = parse(url).ok_or_else(|| {
        refused(format!("TemplateURL must reference a valid S3 object to which you have access: {url}"))
    })?;
    let registry = deployer.registry();
    if !registry.has_operation("s3", "GetObject") {
        return Err(refused("TemplateURL is not supported here: it needs s3:GetObject"));
    }
    let input = json!({"Bucket": bucket, "Key": key});
    let answer = registry.call_value("s3", "GetObject", call.clone(), input).await.map_err(|fault| {
        refused(format!("S3 error: {}. (bucket {bucket}, key {key}; {})", fault.message, fault.code))
    })?;
    let Some(text) = answer["Body"].as_str() else {
        return Err(refused("Template format error: the template is not UTF-8"));
    };
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(refused(format!("Template may not exceed {TEMPLATE_BYTES_MAX} bytes in size.")));
    }
    Ok(text.to_owned())
}

/// Bucket and key of a path-style or virtual-hosted URL, or of `s3://bucket/key`.
fn parse(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_once('/')?;
    let (bucket, key) = match scheme {
        "s3" => (host, path),
        "http" | "https" => {
            let name = host.split(':').next().unwrap_or(host);
            match virtual_bucket(name) {
                Some(bucket) => (bucket, path),
                None => path.split_once('/')?,
            }
        }
        _ => return None,
    };
    (!bucket.is_empty() && !key.is_empty()).then(|| (bucket.to_owned(), decoded(key)))
}

fn virtual_bucket(host: &str) -> Option<&str> {
    for mark in [".s3.", ".s3-"] {
        if let Some(at) = host.find(mark) {
            return Some(&host[..at]);
        }
    }
    let bucket = host.strip_suffix(".localhost")?;
    (bucket != "s3" && !bucket.is_empty()).then_some(bucket)
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| bytes.get(i + 1..i + 3)).flatten();
        let value = hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match value {
            Some(value) => {
                out.push(value);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_of_url_names_its_object() {
        for (url, expected) in [
            ("http://127.0.0.1:4566/b/dir/t.yaml", Some(("b", "dir/t.yaml"))),
            ("http://localhost:4566/b/t%20x.yaml", Some(("b", "t x.yaml"))),
            ("https://s3.amazonaws.com/b/k", Some(("b", "k"))),
            ("https://s3.eu-west-1.amazonaws.com/b/k?versionId=3", Some(("b", "k"))),
            ("https://b.c.s3.eu-west-1.amazonaws.com/k/l", Some(("b.c", "k/l"))),
            ("https://b.s3-eu-west-1.amazonaws.com/k", Some(("b", "k"))),
            ("http://b.localhost:4566/k", Some(("b", "k"))),
            ("http://s3.localhost:4566/b/k", Some(("b", "k"))),
            ("s3://b/k/l", Some(("b", "k/l"))),
            ("http://127.0.0.1:4566/b", None),
            ("file:///etc/passwd", None),
            ("x", None),
            ("http://h/b/", None),
        ] {
            let expected = expected.map(|(b, k)| (b.to_owned(), k.to_owned()));
            assert_eq!(parse(url), expected, "{url}");
        }
        assert_eq!(decoded("a%2"), "a%2");
    }
}
