use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, Entropy, ManualClock, Scope, Timestamp};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use service::{Call, Registry};
use store::{MemoryStore, Store};

use crate::{Buckets, HttpOptions, HttpService, Options, Secrets};

pub(super) struct Server {
    pub(super) buckets: Buckets,
    pub(super) http: HttpService,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) dir: Arc<tempfile::TempDir>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("an answer in UTF-8")
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The text of the first element of that name.
    pub(super) fn element(&self, name: &str) -> &str {
        element(self.text(), name)
    }

    /// The texts of all elements of that name.
    pub(super) fn elements(&self, name: &str) -> Vec<&str> {
        let open = format!("<{name}>");
        let parts: Vec<&str> = self.text().split(open.as_str()).skip(1).collect();
        parts.into_iter().map(|part| part.split(&format!("</{name}>")).next().unwrap_or("")).collect()
    }

    /// The error's code, which must be the one that is wanted.
    pub(super) fn check(&self, status: u16, code: &str) -> &Answer {
        assert_eq!((self.status, self.element("Code")), (status, code), "{}", self.text());
        self
    }

    pub(super) fn ok(self) -> Answer {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self
    }
}

fn virtual_bucket(host: &str) -> Option<&str> {
    host.strip_suffix(".s3.localhost")
}

fn element<'t>(text: &'t str, name: &str) -> &'t str {
    let from = text.find(&format!("<{name}>")).map(|at| at + name.len() + 2);
    from.and_then(|from| text[from..].find(&format!("</{name}>")).map(|to| &text[from..from + to])).unwrap_or("")
}

pub(super) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-01-14T09:30:00Z").expect("a time")
}

pub(super) fn call() -> Call {
    Call::internal(Scope::default(), "request-1", "arn:aws:iam::000000000000:root")
}

impl Server {
    pub(super) async fn start() -> Server {
        let dir = Arc::new(tempfile::tempdir().expect("a folder"));
        Server::over(Arc::new(MemoryStore::new()), dir, Arc::new(ManualClock::new(now())), None).await
    }

    pub(super) async fn with_bucket(name: &str) -> Server {
        let server = Server::start().await;
        server.put(&format!("/{name}"), "").await.ok();
        server
    }

    pub(super) async fn over(
        store: Arc<dyn Store>,
        dir: Arc<tempfile::TempDir>,
        clock: Arc<ManualClock>,
        secrets: Option<Arc<dyn Secrets>>,
    ) -> Server {
        let shared: Arc<dyn Clock> = clock.clone();
        let entropy = Arc::new(Entropy::from_os());
        let buckets =
            Buckets::start(store.clone(), dir.path(), shared, entropy, Options::default()).await.expect("start");
        let http = buckets.s3_service(HttpOptions { secrets, virtual_bucket });
        Server { buckets, http, clock, store, dir }
    }

    /// The same store and folder, after this process has died.
    pub(super) async fn restart(self) -> Server {
        let Server { store, dir, clock, .. } = self;
        Server::over(store, dir, clock, None).await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send_as(call(), method, target, headers, body).await
    }

    pub(super) async fn send_as(
        &self,
        call: Call,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body: Bytes = body.into();
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(&method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "127.0.0.1:4566");
        }
        if !body.is_empty() || method == Method::PUT || method == Method::POST {
            request = request.header("content-length", body.len());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let response = self.http.handle(request, call).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Answer {
            status: StatusCode::as_u16(&parts.status),
            headers: parts.headers.iter().map(header).collect(),
            body: body.unwrap_or_else(|error| panic!("the body ended with an error: {error}")),
        }
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "").await
    }

    pub(super) async fn head(&self, target: &str) -> Answer {
        self.send("HEAD", target, &[], "").await
    }

    pub(super) async fn put(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        self.send("PUT", target, &[], body).await
    }

    pub(super) async fn post(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        self.send("POST", target, &[], body).await
    }

    pub(super) async fn delete(&self, target: &str) -> Answer {
        self.send("DELETE", target, &[], "").await
    }

    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::new();
        registry.add(self.buckets.service());
        registry
    }

    /// How many finished files there are.
    pub(super) fn files(&self) -> usize {
        let shards = std::fs::read_dir(self.dir.path()).expect("the folder");
        let shards = shards.map(|s| s.expect("an entry").path()).filter(|p| !p.ends_with("tmp"));
        shards.map(|shard| std::fs::read_dir(shard).expect("a shard").count()).sum()
    }

    /// Waits until there are so many files: they are deleted on a thread of their own.
    pub(super) async fn wait_for_files(&self, count: usize) {
        for _ in 0..10_000 {
            if self.files() == count {
                return;
            }
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        assert_eq!(self.files(), count);
    }

    /// A turn of the bucket's cell, so that what is due is done.
    pub(super) async fn turn(&self, bucket: &str) {
        self.delete(&format!("/{bucket}?tagging")).await;
    }
}

/// Bytes that are not the same everywhere.
pub(super) fn content(len: usize) -> Bytes {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect::<Vec<_>>().into()
}
