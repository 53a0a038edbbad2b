//! With secrets, every signature is verified; a signer of our own, after AWS's description.

use std::sync::Arc;

use base::ManualClock;
use hmac::{Hmac, Mac as _};
use service::Fault;
use sha2::{Digest as _, Sha256};
use store::MemoryStore;

use super::harness::{Answer, Server, content};
use crate::{Secret, Secrets};

const KEY: &str = "AKIDEXAMPLE";
const ACCOUNT: &str = "123456789012";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

struct One;

impl Secrets for One {
    fn find(&self, access_key_id: &str) -> Result<Option<Secret>, Fault> {
        let session_token = (access_key_id == "ASIATEMP").then(|| "token".to_owned());
        let is_known = [KEY, "ASIATEMP"].contains(&access_key_id);
        Ok(is_known.then(|| Secret {
            secret_access_key: SECRET.to_owned(),
            account: ACCOUNT.to_owned(),
            session_token,
            expires: None,
        }))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sha(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// s3s compares with the machine's clock.
fn stamp() -> String {
    let now = base::Clock::now(&base::SystemClock::new()).to_rfc3339();
    format!("{}Z", now.split('.').next().unwrap().replace(['-', ':'], ""))
}

struct Signer {
    stamp: String,
    secret: &'static str,
}

impl Signer {
    fn new() -> Signer {
        Signer { stamp: stamp(), secret: SECRET }
    }

    fn scope(&self) -> String {
        format!("{}/us-east-1/s3/aws4_request", &self.stamp[..8])
    }

    fn key(&self) -> Vec<u8> {
        let day = mac(format!("AWS4{}", self.secret).as_bytes(), &self.stamp[..8]);
        mac(&mac(&mac(&day, "us-east-1"), "s3"), "aws4_request")
    }

    fn sign(&self, canonical: &str) -> String {
        let text = format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.stamp, self.scope(), sha(canonical.as_bytes()));
        hex::encode(mac(&self.key(), &text))
    }

    /// Headers with the signature, and the signature.
    fn headers(
        &self,
        method: &str,
        target: &str,
        payload: &str,
        more: &[(&str, &str)],
    ) -> (Vec<(String, String)>, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = if query.is_empty() || query.contains('=') { query.to_owned() } else { format!("{query}=") };
        let mut headers: Vec<(String, String)> = vec![
            ("host".to_owned(), "127.0.0.1:4566".to_owned()),
            ("x-amz-content-sha256".to_owned(), payload.to_owned()),
            ("x-amz-date".to_owned(), self.stamp.clone()),
        ];
        headers.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        headers.sort();
        let lines: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let names: Vec<&str> = headers.iter().map(|(n, _)| n.as_str()).collect();
        let names = names.join(";");
        let signature = self.sign(&format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"));
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={KEY}/{}, SignedHeaders={names}, Signature={signature}", self.scope());
        headers.push(("authorization".to_owned(), authorization));
        (headers, signature)
    }
}

async fn start() -> Server {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new(super::harness::now()));
    Server::over(Arc::new(MemoryStore::new()), dir, clock, Some(Arc::new(One))).await
}

async fn send(server: &Server, method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Answer {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    server.send(method, target, &headers, body.to_vec()).await
}

async fn signed(server: &Server, method: &str, target: &str, body: &[u8]) -> Answer {
    let (headers, _) = Signer::new().headers(method, target, &sha(body), &[]);
    send(server, method, target, &headers, body).await
}

#[tokio::test]
async fn in_headers() {
    let server = start().await;
    server.put("/data", "").await.check(403, "AccessDenied");
    server.get("/").await.check(403, "AccessDenied");
    signed(&server, "PUT", "/data", b"").await.ok();
    // Whatever the request's head claims, the bucket belongs to who signed.
    assert!(server.buckets.bucket(&super::harness::call(), "data").is_err_and(|fault| fault.code == "AccessDenied"));
    for size in [10, 40_000] {
        signed(&server, "PUT", "/data/k", &content(size)).await.ok();
        assert_eq!(signed(&server, "GET", "/data/k", b"").await.ok().body, content(size));
    }
    // Another body than was signed, of an object and of a document.
    let (headers, _) = Signer::new().headers("PUT", "/data/k", &sha(b"one"), &[]);
    send(&server, "PUT", "/data/k", &headers, b"two").await.check(400, "XAmzContentSHA256Mismatch");
    let tagging = b"<Tagging><TagSet></TagSet></Tagging>";
    signed(&server, "PUT", "/data/k?tagging", tagging).await.ok();
    let (headers, _) = Signer::new().headers("PUT", "/data/k?tagging", &sha(tagging), &[]);
    let other = b"<Tagging><TagSet> </TagSet></Tagging>";
    send(&server, "PUT", "/data/k?tagging", &headers, other).await.check(400, "XAmzContentSHA256Mismatch");

    let (headers, _) = Signer { secret: "wrong", ..Signer::new() }.headers("GET", "/data/k", &sha(b""), &[]);
    let refused = send(&server, "GET", "/data/k", &headers, b"").await;
    refused.check(403, "SignatureDoesNotMatch");
    assert!(refused.element("Message").starts_with("The request signature we calculated"));
    let (mut headers, _) = Signer::new().headers("GET", "/data/k", &sha(b""), &[]);
    for (_, value) in &mut headers {
        *value = value.replace(KEY, "AKIDOTHER");
    }
    send(&server, "GET", "/data/k", &headers, b"").await.check(403, "InvalidAccessKeyId");
    let temporary = |headers: &[(String, String)], token: &str| -> Vec<(String, String)> {
        let mut headers: Vec<_> = headers.iter().map(|(n, v)| (n.clone(), v.replace(KEY, "ASIATEMP"))).collect();
        headers.push(("x-amz-security-token".to_owned(), token.to_owned()));
        headers
    };
    let (headers, _) = Signer::new().headers("GET", "/data/k", &sha(b""), &[]);
    send(&server, "GET", "/data/k", &temporary(&headers, "token"), b"").await.ok();
    send(&server, "GET", "/data/k", &temporary(&headers, "other"), b"").await.check(400, "InvalidToken");
    let old = Signer { stamp: "20200101T000000Z".to_owned(), secret: SECRET };
    let (headers, _) = old.headers("GET", "/data/k", &sha(b""), &[]);
    send(&server, "GET", "/data/k", &headers, b"").await.check(403, "RequestTimeTooSkewed");
}

fn presigned(signer: &Signer, method: &str, path: &str, seconds: u64, more: &str) -> String {
    let credential = format!("{KEY}/{}", signer.scope()).replace('/', "%2F");
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}&X-Amz-Expires={seconds}\
         &X-Amz-SignedHeaders=host{more}",
        signer.stamp
    );
    let canonical = format!("{method}\n{path}\n{query}\nhost:127.0.0.1:4566\n\nhost\nUNSIGNED-PAYLOAD");
    format!("{path}?{query}&X-Amz-Signature={}", signer.sign(&canonical))
}

#[tokio::test]
async fn in_urls() {
    let server = start().await;
    signed(&server, "PUT", "/data", b"").await.ok();
    let signer = Signer::new();
    server.put(&presigned(&signer, "PUT", "/data/k", 60, ""), "through a URL").await.ok();
    assert_eq!(server.get(&presigned(&signer, "GET", "/data/k", 60, "")).await.ok().text(), "through a URL");
    // What is signed for one key and method is for no other.
    let url = presigned(&signer, "GET", "/data/k", 60, "").replace("/data/k", "/data/other");
    server.get(&url).await.check(403, "SignatureDoesNotMatch");
    server.put(&presigned(&signer, "GET", "/data/k", 60, ""), "x").await.check(403, "SignatureDoesNotMatch");
    let old = Signer { stamp: "20200101T000000Z".to_owned(), secret: SECRET };
    let expired = server.get(&presigned(&old, "GET", "/data/k", 60, "")).await;
    expired.check(403, "AccessDenied");
    assert_eq!(expired.element("Message"), "Request has expired");
    // Headers of the operation that the URL carries.
    let url = presigned(&signer, "PUT", "/data/k", 60, "&x-amz-meta-a=1");
    server.put(&url, "x").await.ok();
    assert_eq!(server.get(&presigned(&signer, "GET", "/data/k", 60, "")).await.header("x-amz-meta-a"), "1");
}

#[tokio::test]
async fn of_chunks() {
    let server = start().await;
    signed(&server, "PUT", "/data", b"").await.ok();
    let body = content(70_000);
    let chunks = [&body[..65_536], &body[65_536..], &[]];
    let send_chunks = async |wrong: bool, end: usize| {
        let signer = Signer::new();
        let more = [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "70000")];
        let (headers, seed) = signer.headers("PUT", "/data/k", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", &more);
        let (mut before, mut sent) = (seed, Vec::new());
        for chunk in &chunks[..end] {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{before}\n{}\n{}",
                signer.stamp,
                signer.scope(),
                sha(b""),
                sha(chunk)
            );
            before = hex::encode(mac(&signer.key(), &text));
            sent.extend_from_slice(format!("{:x};chunk-signature={before}\r\n", chunk.len()).as_bytes());
            let first = sent.len();
            sent.extend_from_slice(chunk);
            if wrong && !chunk.is_empty() {
                sent[first] ^= 1;
            }
            sent.extend_from_slice(b"\r\n");
        }
        send(&server, "PUT", "/data/k", &headers, &sent).await
    };
    send_chunks(false, 3).await.ok();
    let got = signed(&server, "GET", "/data/k", b"").await.ok();
    assert_eq!((&got.body, got.header("content-encoding")), (&body, ""));
    send_chunks(true, 3).await.check(403, "SignatureDoesNotMatch");
    send_chunks(false, 2).await.check(400, "IncompleteBody");
    assert_eq!(signed(&server, "GET", "/data/k", b"").await.ok().body, body);

    // Unsigned chunks with a checksum behind them, in one piece as some SDKs send it.
    let send_trailer = async |crc: &str| {
        let more = [
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "9"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        let (headers, _) = Signer::new().headers("PUT", "/data/t", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", &more);
        let body = format!("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n");
        send(&server, "PUT", "/data/t", &headers, body.as_bytes()).await
    };
    let put = send_trailer("y/Q5Jg==").await.ok();
    assert_eq!(put.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    send_trailer("AAAAAA==").await.check(400, "BadDigest");
}

#[tokio::test]
async fn nobody_looks_at_them_on_an_open_server() {
    let server = Server::with_bucket("data").await;
    let wrong = Signer { secret: "wrong", stamp: "20260114T093000Z".to_owned() };
    let (headers, _) = wrong.headers("PUT", "/data/k", &sha(b"x"), &[]);
    send(&server, "PUT", "/data/k", &headers, b"x").await.ok();
    assert_eq!(server.get(&presigned(&wrong, "GET", "/data/k", 60, "")).await.ok().text(), "x");
    // Time is kept all the same, by the server's own clock.
    server.clock.advance(std::time::Duration::from_secs(61));
    server.get(&presigned(&wrong, "GET", "/data/k", 60, "")).await.check(403, "AccessDenied");
    server.get(&presigned(&wrong, "GET", "/data/k", 604_801, "")).await.check(400, "AuthorizationQueryParametersError");
    let old = "/data/k?AWSAccessKeyId=test&Signature=abc&Expires=1768383062";
    assert_eq!(server.get(old).await.ok().text(), "x");
    server.get(&old.replace("1768383062", "1768383000")).await.check(403, "AccessDenied");
}
