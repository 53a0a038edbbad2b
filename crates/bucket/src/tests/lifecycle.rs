use std::time::Duration;

use super::harness::{Server, content};
use super::multipart::begin;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn rules(server: &Server, rules: &str) {
    let body = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
    server.put("/data?lifecycle", body).await.ok();
}

fn rule(id: &str, filter: &str, action: &str) -> String {
    format!("<Rule><ID>{id}</ID><Filter>{filter}</Filter><Status>Enabled</Status>{action}</Rule>")
}

/// Lets the clock go on and the cell do what has come due; a sweep takes several turns.
async fn pass(server: &Server, days: u32) {
    server.clock.advance(DAY * days);
    for _ in 0..8 {
        server.turn("data").await;
    }
}

async fn keys(server: &Server) -> Vec<String> {
    let listed = server.get("/data?list-type=2").await.ok();
    listed.elements("Key").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn objects_expire_at_midnight() {
    let server = Server::with_bucket("data").await;
    for key in ["logs/a", "logs/b", "keep/a"] {
        server.put(&format!("/data/{key}"), content(20_000)).await.ok();
    }
    server.send("PUT", "/data/tagged", &[("x-amz-tagging", "temp=yes&x=1")], "x").await.ok();
    let tag = "<Tag><Key>temp</Key><Value>yes</Value></Tag>";
    let days = |n: u32| format!("<Expiration><Days>{n}</Days></Expiration>");
    rules(&server, &[rule("logs", "<Prefix>logs/</Prefix>", &days(3)), rule("tags", tag, &days(1))].concat()).await;
    // Put at 9:30 on the 14th: three days later, at the next midnight.
    let head = server.head("/data/logs/a").await;
    assert_eq!(head.header("x-amz-expiration"), "expiry-date=\"Sun, 18 Jan 2026 00:00:00 GMT\", rule-id=\"logs\"");
    assert_eq!(server.head("/data/keep/a").await.header("x-amz-expiration"), "");
    pass(&server, 1).await;
    assert_eq!(keys(&server).await, ["keep/a", "logs/a", "logs/b", "tagged"]);
    pass(&server, 1).await;
    assert_eq!(keys(&server).await, ["keep/a", "logs/a", "logs/b"]);
    pass(&server, 1).await;
    assert_eq!(keys(&server).await.len(), 3);
    pass(&server, 1).await;
    assert_eq!(keys(&server).await, ["keep/a"]);
    server.wait_for_files(1).await;
    // After a restart too, though nothing wakes the cell at midnight.
    rules(&server, &rule("all", "", "<Expiration><Date>2026-02-01T00:00:00Z</Date></Expiration>")).await;
    server.clock.advance(DAY * 30);
    let server = server.restart().await;
    pass(&server, 0).await;
    assert!(keys(&server).await.is_empty());
}

#[tokio::test]
async fn sizes_and_disabled_rules() {
    let server = Server::with_bucket("data").await;
    for (key, size) in [("small", 10), ("middle", 1000), ("large", 100_000)] {
        server.put(&format!("/data/{key}"), content(size)).await.ok();
    }
    let and = "<And><Prefix></Prefix><ObjectSizeGreaterThan>100</ObjectSizeGreaterThan><ObjectSizeLessThan>10000\
               </ObjectSizeLessThan></And>";
    let action = "<Expiration><Days>1</Days></Expiration>";
    let off = rule("off", "", action).replace("Enabled", "Disabled");
    rules(&server, &[rule("sizes", and, action), off].concat()).await;
    pass(&server, 3).await;
    assert_eq!(keys(&server).await, ["large", "small"]);
}

#[tokio::test]
async fn versions_expire() {
    let server = Server::with_bucket("data").await;
    server
        .put("/data?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        .await
        .ok();
    for i in 0..4 {
        server.put("/data/k", i.to_string()).await.ok();
    }
    let old = "<NoncurrentVersionExpiration><NewerNoncurrentVersions>1</NewerNoncurrentVersions><NoncurrentDays>2\
               </NoncurrentDays></NoncurrentVersionExpiration>";
    rules(&server, &rule("old", "", old)).await;
    let count = async || server.get("/data?versions").await.elements("VersionId").len();
    pass(&server, 1).await;
    assert_eq!(count().await, 4);
    pass(&server, 2).await;
    // The latest and one older one.
    assert_eq!((count().await, server.get("/data/k").await.text()), (2, "3"));
    // The current version expires into a delete marker; when nothing is behind the marker any more, it goes.
    let all = [
        rule("now", "", "<Expiration><Days>1</Days></Expiration>"),
        rule(
            "old",
            "<Prefix></Prefix>",
            "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
        ),
    ];
    rules(&server, &all.concat()).await;
    pass(&server, 0).await;
    server.get("/data/k").await.check(404, "NoSuchKey");
    assert_eq!(server.get("/data?versions").await.elements("DeleteMarker").len(), 1);
    pass(&server, 3).await;
    assert_eq!(count().await, 0);
    assert_eq!(server.delete("/data").await.status, 204);
}

#[tokio::test]
async fn uploads_are_aborted() {
    let server = Server::with_bucket("data").await;
    let action = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation>\
                  </AbortIncompleteMultipartUpload>";
    rules(&server, &rule("abort", "<Prefix>tmp/</Prefix>", action)).await;
    let (gone, kept) = (begin(&server, "/data/tmp/a", &[]).await, begin(&server, "/data/a", &[]).await);
    for (key, id) in [("tmp/a", &gone), ("a", &kept)] {
        server.put(&format!("/data/{key}?partNumber=1&uploadId={id}"), content(40_000)).await.ok();
    }
    let begun = server.send("POST", "/data/tmp/b?uploads", &[], "").await.ok();
    assert_eq!(begun.header("x-amz-abort-rule-id"), "abort");
    assert_eq!(begun.header("x-amz-abort-date"), "Sat, 17 Jan 2026 00:00:00 GMT");
    pass(&server, 2).await;
    assert_eq!(server.get("/data?uploads").await.elements("Key").len(), 3);
    pass(&server, 1).await;
    assert_eq!(server.get("/data?uploads").await.elements("Key"), ["a"]);
    server.wait_for_files(1).await;
}

#[tokio::test]
async fn storage_classes_change() {
    let server = Server::with_bucket("data").await;
    server.put("/data/large", content(200_000)).await.ok();
    server.put("/data/small", content(2000)).await.ok();
    let action = "<Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition>";
    rules(&server, &rule("cold", "", action)).await;
    pass(&server, 1).await;
    assert_eq!(server.head("/data/large").await.header("x-amz-storage-class"), "GLACIER");
    assert_eq!(server.head("/data/small").await.header("x-amz-storage-class"), "");
    assert_eq!(server.get("/data/large").await.ok().body.len(), 200_000);
}

#[tokio::test]
async fn more_than_one_page() {
    let server = Server::with_bucket("data").await;
    for i in 0..2500 {
        server
            .buckets
            .write_object(&super::harness::call(), "data", &format!("k{i:05}"), "x".into(), None)
            .await
            .unwrap();
    }
    rules(&server, &rule("all", "", "<Expiration><Days>1</Days></Expiration>")).await;
    pass(&server, 2).await;
    assert!(keys(&server).await.is_empty());
}

#[tokio::test]
async fn refused_rules() {
    let server = Server::with_bucket("data").await;
    let days = "<Expiration><Days>1</Days></Expiration>";
    let cases = [
        (rule("a", "", ""), "InvalidRequest"),
        (rule("a", "", "<Expiration><Days>0</Days></Expiration>"), "InvalidArgument"),
        (rule("a", "", "<Expiration><Date>2026-01-01T10:00:00Z</Date></Expiration>"), "InvalidArgument"),
        (rule("a", "", "<Expiration></Expiration>"), "MalformedXML"),
        (rule("a", "<Prefix>a</Prefix><ObjectSizeLessThan>1</ObjectSizeLessThan>", days), "MalformedXML"),
        ([rule("a", "", days), rule("a", "", days)].concat(), "InvalidArgument"),
        (rule("a", "", days).replace("Enabled", "On"), "MalformedXML"),
        (rule("a", "", days).replace("<Filter></Filter>", ""), "MalformedXML"),
        (String::new(), "MalformedXML"),
    ];
    for (rules, code) in cases {
        let body = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        server.put("/data?lifecycle", body).await.check(400, code);
    }
    server.get("/data?lifecycle").await.check(404, "NoSuchLifecycleConfiguration");
    rules(&server, &rule("my rule", "<Prefix>a</Prefix>", days)).await;
    let got = server.get("/data?lifecycle").await.ok();
    assert_eq!((got.element("ID"), got.element("Days"), got.element("Prefix")), ("my rule", "1", "a"));
    assert_eq!(server.delete("/data?lifecycle").await.status, 204);
    server.get("/data?lifecycle").await.check(404, "NoSuchLifecycleConfiguration");
}
