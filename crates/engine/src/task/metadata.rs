//! What AWS's first Java SDK tells of the HTTP exchange behind an optimised integration.

use base::Timestamp;
use serde_json::{Map, Value, json};

/// The answer's status and headers, in the order in which the service sends them.
pub(super) struct HttpAnswer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
}

impl HttpAnswer {
    /// The answer of a JSON service with `body`.
    pub fn json(service: &str, body: &str, request_id: &str, now: Timestamp) -> HttpAnswer {
        let id = ("x-amzn-RequestId", request_id.to_owned());
        let keep_alive = "keep-alive".to_owned();
        let mut headers = match service {
            "dynamodb" => {
                let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, body.as_bytes());
                let server = ("Server", "Server".to_owned());
                vec![server, ("Connection", keep_alive), id, ("x-amz-crc32", crc.to_string())]
            }
            _ => vec![id, ("connection", keep_alive)],
        };
        headers.push(("Content-Length", body.len().to_string()));
        headers.push(("Date", http_date(now)));
        headers.push(("Content-Type", "application/x-amz-json-1.0".to_owned()));
        HttpAnswer { status: 200, headers }
    }

    /// `SdkHttpMetadata`.
    pub fn to_value(&self) -> Value {
        let all: Map<String, Value> = self.headers.iter().map(|(k, v)| ((*k).to_owned(), json!([v]))).collect();
        let mut single: Vec<&(&str, String)> = self.headers.iter().collect();
        single.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        let single: Map<String, Value> = single.into_iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        json!({"AllHttpHeaders": all, "HttpHeaders": single, "HttpStatusCode": self.status})
    }
}

/// `Wed, 23 Sep 2026 22:15:25 GMT`
pub(super) fn http_date(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_as_the_sdk_tells_them() {
        let now = Timestamp::from_millis(1_790_201_725_560);
        let body = r#"{"MD5OfMessageBody":"c4886909bfd56ccb3bac4dbe93b8ba34","MessageId":"62aa5cdd-664b-4c4a-a065-fadf65efb523"}"#;
        let told = HttpAnswer::json("sqs", body, "0e8a714c-be38-455e-93e2-1c4669a9c26b", now).to_value().to_string();
        let aws = concat!(
            r#"{"AllHttpHeaders":{"x-amzn-RequestId":["0e8a714c-be38-455e-93e2-1c4669a9c26b"],"connection":["keep-alive"],"#,
            r#""Content-Length":["106"],"Date":["Wed, 23 Sep 2026 22:15:25 GMT"],"Content-Type":["application/x-amz-json-1.0"]},"#,
            r#""HttpHeaders":{"connection":"keep-alive","Content-Length":"106","Content-Type":"application/x-amz-json-1.0","#,
            r#""Date":"Wed, 23 Sep 2026 22:15:25 GMT","x-amzn-RequestId":"0e8a714c-be38-455e-93e2-1c4669a9c26b"},"HttpStatusCode":200}"#
        );
        assert_eq!(told, aws);
        let told = HttpAnswer::json("dynamodb", "{}", "r", now).to_value();
        assert_eq!(told["HttpHeaders"]["x-amz-crc32"], "2745614147");
    }
}
