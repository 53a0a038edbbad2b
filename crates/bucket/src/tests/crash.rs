use std::sync::Arc;

use futures::{StreamExt as _, stream};
use service::Fault;
use store::{BlobId, Blobs, MemoryStore, Store};

use super::harness::{Server, call, content};
use crate::checksum::Algorithm;
use crate::record::{Attributes, Tags};
use crate::stage::Expected;

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let server = Server::with_bucket("data").await;
    let (small, large) = (content(100), content(100_000));
    server.put("/data/small", small.clone()).await.ok();
    server.put("/data/large", large.clone()).await.ok();
    let id = super::multipart::begin(&server, "/data/k", &[]).await;
    let part = server.put(&format!("/data/k?partNumber=1&uploadId={id}"), large.clone()).await.ok();
    let server = server.restart().await;
    server.buckets.collect_orphans().await.unwrap();
    assert_eq!((server.get("/data/small").await.body, server.get("/data/large").await.body), (small, large.clone()));
    let completion = super::multipart::completion(&[(1, part.header("etag"))]);
    server.post(&format!("/data/k?uploadId={id}"), completion).await.ok();
    assert_eq!(server.get("/data/k").await.body, large);
}

#[tokio::test]
async fn files_that_nothing_names_are_collected() {
    let server = Server::with_bucket("data").await;
    server.put("/data/k", content(50_000)).await.ok();
    // What a crash leaves between the file and the record that names it, and before the file is finished.
    let blobs = Blobs::open(server.dir.path()).unwrap();
    blobs.put(BlobId::from_random(1, 1), b"written, never named").unwrap();
    std::fs::write(server.dir.path().join("tmp").join("half"), b"half").unwrap();
    assert_eq!(server.files(), 2);
    let server = server.restart().await;
    server.wait_for_files(1).await;
    assert_eq!(std::fs::read_dir(server.dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(server.get("/data/k").await.ok().body.len(), 50_000);
}

#[tokio::test]
async fn a_refused_commit_leaves_what_was_there() {
    let refusing = Arc::new(Refusing::default());
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let clock = Arc::new(base::ManualClock::new(super::harness::now()));
    let server = Server::over(refusing.clone(), dir, clock, None).await;
    server.put("/data", "").await.ok();
    server.put("/data/k", content(50_000)).await.ok();
    refusing.refuses.store(true, std::sync::atomic::Ordering::SeqCst);
    server.put("/data/k", content(60_000)).await.check(503, "SlowDown");
    server.delete("/data/k").await.check(503, "SlowDown");
    refusing.refuses.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(server.get("/data/k").await.ok().body.len(), 50_000);
    // The outcome of a failed commit may be unknown, so its file waits for the collector.
    assert_eq!(server.files(), 2);
    assert_eq!(server.buckets.collect_orphans().await.unwrap(), 1);
    assert_eq!(server.get("/data/k").await.ok().body.len(), 50_000);
}

#[derive(Default)]
struct Refusing {
    inner: MemoryStore,
    refuses: std::sync::atomic::AtomicBool,
}

impl Store for Refusing {
    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, store::Error> {
        self.inner.get(key)
    }

    fn scan(&self, range: &store::Range) -> Result<Vec<store::Entry>, store::Error> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: store::Batch) -> store::Commit {
        if self.refuses.load(std::sync::atomic::Ordering::SeqCst) {
            return store::Commit::done(Err(store::Error::Retryable("disk full".to_owned())));
        }
        self.inner.commit(batch)
    }
}

#[tokio::test]
async fn uploads_in_progress_are_no_orphans() {
    let server = Server::with_bucket("data").await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let pieces = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    let put = crate::api::PutObject {
        bucket: "data".to_owned(),
        key: "k".to_owned(),
        attributes: Attributes::default(),
        tags: Tags::new(),
        condition: crate::machine::Condition::Always,
        algorithm: Algorithm::Crc64Nvme,
        expected: Expected::default(),
        source: None,
    };
    let buckets = server.buckets.clone();
    let upload = tokio::spawn(async move { buckets.put_object(&call(), put, pieces.boxed()).await });
    for _ in 0..5 {
        sender.send(Ok::<_, Fault>(content(1024 * 1024))).await.unwrap();
        assert_eq!(server.buckets.collect_orphans().await.unwrap(), 0);
    }
    drop(sender);
    upload.await.unwrap().unwrap();
    assert_eq!(server.buckets.collect_orphans().await.unwrap(), 0);
    assert_eq!(server.get("/data/k").await.ok().body.len(), 5 * 1024 * 1024);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let server = Server::with_bucket("data").await;
    let broken = stream::iter([Ok(content(3 * 1024 * 1024)), Err(Fault::client("RequestTimeout", "gone"))]);
    let put = crate::api::PutObject {
        bucket: "data".to_owned(),
        key: "k".to_owned(),
        attributes: Attributes::default(),
        tags: Tags::new(),
        condition: crate::machine::Condition::Always,
        algorithm: Algorithm::Crc64Nvme,
        expected: Expected::default(),
        source: None,
    };
    let result = server.buckets.put_object(&call(), put, broken.boxed()).await;
    assert_eq!(result.unwrap_err().code, "RequestTimeout");
    server.get("/data/k").await.check(404, "NoSuchKey");
    server.wait_for_files(0).await;
}

#[tokio::test]
async fn readers_keep_what_they_read() {
    let server = Server::with_bucket("data").await;
    let scope = base::Scope::default();
    for size in [3 * 1024 * 1024, 100] {
        server.put("/data/k", content(size)).await.ok();
        let reading = server.buckets.read_object(&scope, "data", "k", None).unwrap();
        server.delete("/data/k").await.ok();
        // Nobody else sees it, and the collector leaves it alone.
        server.get("/data/k").await.check(404, "NoSuchKey");
        assert_eq!(server.buckets.collect_orphans().await.unwrap(), 0);
        assert_eq!(reading.bytes(u64::MAX).await.unwrap(), content(size));
        server.wait_for_files(0).await;
    }
    let id = super::multipart::begin(&server, "/data/k", &[]).await;
    let parts = [content(5 * 1024 * 1024), content(10)];
    let mut etags = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let put = server.put(&format!("/data/k?partNumber={}&uploadId={id}", i + 1), part.clone()).await.ok();
        etags.push(put.header("etag").to_owned());
    }
    let completion = super::multipart::completion(&[(1, &etags[0]), (2, &etags[1])]);
    server.post(&format!("/data/k?uploadId={id}"), completion).await.ok();
    let reading = server.buckets.read_object(&scope, "data", "k", None).unwrap();
    server.put("/data/k", "replaced").await.ok();
    assert_eq!(server.buckets.collect_orphans().await.unwrap(), 0);
    assert_eq!(reading.bytes(u64::MAX).await.unwrap(), parts.concat());
    server.wait_for_files(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_at_once() {
    let server = Arc::new(Server::with_bucket("data").await);
    let sizes = [0, 10, 20_000, 600_000];
    server.put("/data/k", content(10)).await.ok();
    let writers = (0..4).map(|w| {
        let server = server.clone();
        tokio::spawn(async move {
            for i in 0..25 {
                server.put("/data/k", content(sizes[(w + i) % 4])).await.ok();
            }
        })
    });
    let readers = (0..4).map(|_| {
        let server = server.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                let got = server.get("/data/k").await.ok();
                assert!(sizes.contains(&got.body.len()) && got.body == content(got.body.len()));
            }
        })
    });
    let jobs: Vec<_> = writers.collect::<Vec<_>>().into_iter().chain(readers.collect::<Vec<_>>()).collect();
    for job in jobs {
        job.await.unwrap();
    }
    let last = server.get("/data/k").await.ok().body.len();
    server.wait_for_files(usize::from(last > 16 * 1024)).await;
}
