use super::harness::{Server, call, content};

#[tokio::test]
async fn what_is_put_comes_back() {
    let server = Server::with_bucket("data").await;
    for size in [0, 1, 16 * 1024, 16 * 1024 + 1, 300_000, 3 * 1024 * 1024 + 17] {
        let body = content(size);
        let put = server.put("/data/a/key", body.clone()).await.ok();
        let got = server.get("/data/a/key").await.ok();
        assert_eq!(got.body, body, "{size}");
        assert_eq!(got.header("etag"), put.header("etag"));
        assert_eq!(got.header("content-length"), size.to_string());
        assert_eq!(got.header("last-modified"), "Wed, 14 Jan 2026 09:30:00 GMT");
        for answer in [&put, &got] {
            assert_eq!(answer.header("x-amz-server-side-encryption"), "AES256");
            assert_eq!(answer.header("x-amz-request-id"), "request-1");
        }
        let head = server.head("/data/a/key").await.ok();
        assert_eq!((head.header("content-length"), &head.body[..]), (got.header("content-length"), &[][..]));
    }
    // Only the last one is left.
    server.wait_for_files(1).await;
    assert_eq!(server.delete("/data/a/key").await.status, 204);
    assert_eq!(server.delete("/data/a/key").await.status, 204);
    server.get("/data/a/key").await.check(404, "NoSuchKey");
    assert_eq!(server.get("/data/a/key").await.element("Key"), "a/key");
    assert_eq!(server.get("/data/a/key").await.element("Message"), "The specified key does not exist.");
    server.wait_for_files(0).await;
    let head = server.head("/data/a/key").await;
    assert_eq!((head.status, head.body.len()), (404, 0));
}

#[tokio::test]
async fn headers_are_kept() {
    let server = Server::with_bucket("data").await;
    let headers = [
        ("content-type", "text/csv"),
        ("content-encoding", "aws-chunked,gzip"),
        ("content-disposition", "attachment; filename=\"a.csv\""),
        ("content-language", "de"),
        ("cache-control", "max-age=60"),
        ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("x-amz-meta-job", "17"),
        ("x-amz-meta-Class", "4b"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-tagging", "team=nlp&stage=raw%20text"),
        ("x-amz-website-redirect-location", "/elsewhere"),
    ];
    server.send("PUT", "/data/k", &headers, "x").await.ok();
    for answer in [server.get("/data/k").await.ok(), server.head("/data/k").await.ok()] {
        assert_eq!(answer.header("content-encoding"), "gzip");
        assert_eq!(answer.header("x-amz-meta-class"), "4b");
        for (name, value) in headers.iter().filter(|(n, _)| !n.contains("tagging") && *n != "content-encoding") {
            assert_eq!(answer.header(&name.to_ascii_lowercase()), *value, "{name}");
        }
    }
    assert_eq!(server.get("/data/k").await.header("x-amz-tagging-count"), "2");
    let tags = server.get("/data/k?tagging").await.ok();
    assert_eq!((tags.elements("Key"), tags.elements("Value")), (vec!["stage", "team"], vec!["raw text", "nlp"]));
    let plain = server.put("/data/plain", "x").await.ok();
    assert_eq!(plain.header("x-amz-storage-class"), "");
    assert_eq!(server.get("/data/plain").await.header("content-type"), "binary/octet-stream");
    let overridden = server.get("/data/k?response-content-type=text%2Fplain&response-cache-control=no-store").await;
    assert_eq!((overridden.header("content-type"), overridden.header("cache-control")), ("text/plain", "no-store"));

    let much = "x".repeat(2050);
    let metadata = [("x-amz-meta-a", much.as_str())];
    server.send("PUT", "/data/k", &metadata, "x").await.check(400, "MetadataTooLarge");
    server.send("PUT", "/data/k", &[("x-amz-storage-class", "FAST")], "x").await.check(400, "InvalidStorageClass");
    let many: Vec<String> = (0..11).map(|i| format!("k{i}=v")).collect();
    server.send("PUT", "/data/k", &[("x-amz-tagging", &many.join("&"))], "x").await.check(400, "BadRequest");
    server.send("PUT", "/data/k", &[("x-amz-object-lock-mode", "COMPLIANCE")], "x").await.check(501, "NotImplemented");
}

#[tokio::test]
async fn ranges() {
    let server = Server::with_bucket("data").await;
    for size in [1000, 20_000] {
        let body = content(size);
        server.put("/data/k", body.clone()).await.ok();
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=990-", 990, size),
            ("bytes=-10", size - 10, size),
            ("bytes=5-9999999", 5, size),
            ("bytes=-9999999", 0, size),
        ] {
            let got = server.send("GET", "/data/k", &[("range", range)], "").await;
            assert_eq!(got.status, 206, "{range}");
            assert_eq!(got.body, body[from..to], "{range}");
            assert_eq!(got.header("content-range"), format!("bytes {from}-{}/{size}", to - 1));
            assert_eq!(got.header("content-length"), (to - from).to_string());
            let head = server.send("HEAD", "/data/k", &[("range", range)], "").await;
            assert_eq!((head.status, head.header("content-length")), (206, got.header("content-length")));
        }
        for range in ["bytes=20000-", "bytes=-0"] {
            let refused = server.send("GET", "/data/k", &[("range", range)], "").await;
            refused.check(416, "InvalidRange");
            assert_eq!(refused.header("content-range"), format!("bytes */{size}"));
            assert_eq!(refused.element("ActualObjectSize"), size.to_string());
        }
        // What is no range is ignored.
        for range in ["bytes=b-a", "lines=1-2", "bytes=9-3"] {
            let got = server.send("GET", "/data/k", &[("range", range)], "").await;
            assert_eq!((got.status, got.body.len()), (200, size), "{range}");
        }
    }
    server.put("/data/empty", "").await.ok();
    server.send("GET", "/data/empty", &[("range", "bytes=0-")], "").await.check(416, "InvalidRange");
    let part = server.get("/data/k?partNumber=1").await;
    assert_eq!((part.status, part.header("content-range")), (206, "bytes 0-19999/20000"));
    server.get("/data/k?partNumber=2").await.check(416, "InvalidPartNumber");
}

#[tokio::test]
async fn keys_are_any_text() {
    let server = Server::with_bucket("data").await;
    let keys = [
        ("/data/../../etc/passwd", "../../etc/passwd"),
        ("/data/%2e%2e%2fup", "../up"),
        ("/data//leading", "/leading"),
        ("/data/a//b", "a//b"),
        ("/data/folder/", "folder/"),
        ("/data/with+plus%20and%2Bplus", "with+plus and+plus"),
        ("/data/%E2%82%AC%F0%9F%98%80", "€😀"),
        ("/data/%3Fq%3D1%26x%23y", "?q=1&x#y"),
        ("/data/a%00b", "a\0b"),
    ];
    for (path, key) in keys {
        server.put(path, key).await.ok();
    }
    for (path, key) in keys {
        assert_eq!(server.get(path).await.ok().text(), key);
    }
    let listed = server.get("/data?list-type=2&encoding-type=url").await.ok();
    assert_eq!(listed.elements("Key").len(), keys.len());
    assert!(listed.elements("Key").contains(&"with%2Bplus+and%2Bplus"), "{}", listed.text());
    assert!(listed.elements("Key").contains(&"%E2%82%AC%F0%9F%98%80"), "{}", listed.text());
    assert_eq!(
        std::fs::read_dir(server.dir.path().parent().unwrap())
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().file_name() == "etc" })
            .count(),
        0
    );
    let long = "k".repeat(1024);
    server.put(&format!("/data/{long}"), "x").await.ok();
    server.put(&format!("/data/{long}k"), "x").await.check(400, "KeyTooLongError");
}

#[tokio::test]
async fn buckets() {
    let server = Server::start().await;
    for name in ["ab", "Upper", "under_score", "a..b", "-a-", "192.168.1.1", "xn--abc", "abc-s3alias"] {
        server.put(&format!("/{name}"), "").await.check(400, "InvalidBucketName");
    }
    let created = server.put("/first-bucket", "").await.ok();
    assert_eq!(created.header("location"), "/first-bucket");
    // In us-east-1 again is no error.
    server.put("/first-bucket", "").await.ok();
    let other = |account: &str, region: &str| {
        let mut call = call();
        call.scope = base::Scope::new(account, region);
        call
    };
    let theirs = server.send_as(other("111111111111", "us-east-1"), "PUT", "/first-bucket", &[], "").await;
    theirs.check(409, "BucketAlreadyExists");
    let europe = other("000000000000", "eu-west-1");
    let unspecified = server.send_as(europe.clone(), "PUT", "/second", &[], "").await;
    unspecified.check(400, "IllegalLocationConstraintException");
    let location = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>\
                    eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    server.send_as(europe.clone(), "PUT", "/second", &[], location).await.ok();
    server.send_as(europe, "PUT", "/second", &[], location).await.check(409, "BucketAlreadyOwnedByYou");
    let wrong = location.replace("eu-west-1", "us-east-1");
    server.put("/third", wrong).await.check(400, "InvalidLocationConstraint");

    assert_eq!(server.head("/second").await.header("x-amz-bucket-region"), "eu-west-1");
    let second = server.get("/second?location").await.ok();
    assert!(second.text().ends_with("2006-03-01/\">eu-west-1</LocationConstraint>"), "{}", second.text());
    let first = server.get("/first-bucket?location").await.ok();
    assert!(first.text().contains("LocationConstraint xmlns="), "{}", first.text());
    let all = server.get("/").await.ok();
    assert_eq!(all.elements("Name"), ["first-bucket", "second"]);
    assert_eq!(all.elements("CreationDate"), ["2026-01-14T09:30:00.000Z"; 2]);
    let page = server.get("/?max-buckets=1").await.ok();
    assert_eq!(page.elements("Name"), ["first-bucket"]);
    let next = server.get(&format!("/?max-buckets=1&continuation-token={}", page.element("ContinuationToken"))).await;
    assert_eq!((next.elements("Name"), next.element("ContinuationToken")), (vec!["second"], ""));

    server.get("/nowhere/k").await.check(404, "NoSuchBucket");
    server.put("/nowhere/k", "x").await.check(404, "NoSuchBucket");
    assert_eq!(server.head("/nowhere").await.status, 404);
    let stranger = other("111111111111", "us-east-1");
    server.send_as(stranger.clone(), "GET", "/second/k", &[], "").await.check(403, "AccessDenied");
    server.send_as(stranger.clone(), "DELETE", "/second", &[], "").await.check(403, "AccessDenied");
    assert!(server.send_as(stranger, "GET", "/", &[], "").await.ok().elements("Name").is_empty());
    let expected = [("x-amz-expected-bucket-owner", "111111111111")];
    server.send("GET", "/second?list-type=2", &expected, "").await.check(403, "AccessDenied");

    server.put("/second/k", "x").await.ok();
    server.delete("/second").await.check(409, "BucketNotEmpty");
    server.delete("/second/k").await.ok();
    assert_eq!(server.delete("/second").await.status, 204);
    server.delete("/second").await.check(404, "NoSuchBucket");
    assert_eq!(server.get("/").await.elements("Name"), ["first-bucket"]);
}

#[tokio::test]
async fn a_bucket_in_the_host() {
    let server = Server::start().await;
    let host = [("host", "data.s3.localhost")];
    server.send("PUT", "/", &host, "").await.ok();
    server.send("PUT", "/a/b", &host, "x").await.ok();
    assert_eq!(server.send("GET", "/a/b", &host, "").await.ok().text(), "x");
    assert_eq!(server.get("/data/a/b").await.ok().text(), "x");
}

#[tokio::test]
async fn copies() {
    let server = Server::with_bucket("data").await;
    server.put("/other", "").await.ok();
    let large = content(100_000);
    let headers = [("content-type", "text/plain"), ("x-amz-meta-a", "1"), ("x-amz-tagging", "t=1")];
    let put = server.send("PUT", "/data/from", &headers, large.clone()).await.ok();
    let source = [("x-amz-copy-source", "/data/from")];
    let copied = server.send("PUT", "/other/to", &source, "").await.ok();
    assert_eq!(copied.element("ETag").replace("&quot;", "\""), put.header("etag"));
    let got = server.get("/other/to").await.ok();
    assert_eq!((&got.body, got.header("content-type"), got.header("x-amz-meta-a")), (&large, "text/plain", "1"));
    assert_eq!(server.get("/other/to?tagging").await.element("Value"), "1");

    let replace = [
        ("x-amz-copy-source", "data/from"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-tagging-directive", "REPLACE"),
        ("x-amz-tagging", "t=2"),
        ("x-amz-meta-b", "2"),
    ];
    server.send("PUT", "/data/from", &replace, "").await.ok();
    let got = server.get("/data/from").await.ok();
    assert_eq!((got.header("x-amz-meta-a"), got.header("x-amz-meta-b")), ("", "2"));
    assert_eq!((got.header("content-type"), &got.body), ("binary/octet-stream", &large));
    assert_eq!(server.get("/data/from?tagging").await.element("Value"), "2");

    server.send("PUT", "/data/from", &source, "").await.check(400, "InvalidRequest");
    let missing = [("x-amz-copy-source", "data/nothing")];
    server.send("PUT", "/data/to", &missing, "").await.check(404, "NoSuchKey");
    let condition = [source[0], ("x-amz-copy-source-if-match", "\"nonsense\"")];
    server.send("PUT", "/data/to", &condition, "").await.check(412, "PreconditionFailed");
    let etag = put.header("etag").to_owned();
    let condition = [source[0], ("x-amz-copy-source-if-none-match", &*etag)];
    server.send("PUT", "/data/to", &condition, "").await.check(412, "PreconditionFailed");
    let absent = [source[0], ("if-none-match", "*")];
    server.send("PUT", "/other/to", &absent, "").await.check(412, "PreconditionFailed");
    server.send("PUT", "/other/new", &absent, "").await.ok();
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let server = Server::with_bucket("data").await;
    for key in ["a", "b", "c"] {
        server.put(&format!("/data/{key}"), content(20_000)).await.ok();
    }
    let list = "<Delete><Object><Key>a</Key></Object><Object><Key>nothing</Key></Object></Delete>";
    let deleted = server.post("/data?delete", list).await.ok();
    assert_eq!(deleted.elements("Key"), ["a", "nothing"]);
    let list = "<Delete><Quiet>true</Quiet><Object><Key>b</Key></Object></Delete>";
    assert!(server.post("/data?delete", list).await.ok().elements("Key").is_empty());
    assert_eq!(server.get("/data?list-type=2").await.elements("Key"), ["c"]);
    server.wait_for_files(1).await;
    let mut many = String::from("<Delete>");
    (0..1001).for_each(|i| many.push_str(&format!("<Object><Key>{i}</Key></Object>")));
    many.push_str("</Delete>");
    server.post("/data?delete", many).await.check(400, "MalformedXML");
    server.post("/data?delete", "<Delete></Nonsense>").await.check(400, "MalformedXML");
}

#[tokio::test]
async fn tags() {
    let server = Server::with_bucket("data").await;
    server.put("/data/k", "x").await.ok();
    let tagging = "<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value>1</Value></Tag>\
                   </TagSet></Tagging>";
    server.put("/data/k?tagging", tagging).await.ok();
    assert_eq!(server.get("/data/k?tagging").await.elements("Key"), ["a", "b"]);
    assert_eq!(server.get("/data/k").await.text(), "x");
    let twice = tagging.replace("<Key>b", "<Key>a");
    server.put("/data/k?tagging", twice).await.check(400, "InvalidTag");
    assert_eq!(server.delete("/data/k?tagging").await.status, 204);
    assert!(server.get("/data/k?tagging").await.elements("Key").is_empty());
    server.put("/data/none?tagging", tagging).await.check(404, "NoSuchKey");
    server.get("/data/none?tagging").await.check(404, "NoSuchKey");
}

#[tokio::test]
async fn lengths() {
    let server = Server::with_bucket("data").await;
    let short = [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("x-amz-decoded-content-length", "6")];
    let body = "5\r\nhello\r\n0\r\n\r\n";
    server.send("PUT", "/data/k", &short, body).await.check(400, "IncompleteBody");
    let long = [short[0], ("x-amz-decoded-content-length", "4")];
    server.send("PUT", "/data/k", &long, body).await.check(400, "IncompleteBody");
    let cut = [short[0], ("x-amz-decoded-content-length", "5")];
    server.send("PUT", "/data/k", &cut, "5\r\nhello\r\n").await.check(400, "IncompleteBody");
    server.send("PUT", "/data/k", &cut, "nonsense\r\n").await.check(400, "InvalidRequest");
    let huge = [short[0], ("x-amz-decoded-content-length", "5368709121")];
    server.send("PUT", "/data/k", &huge, body).await.check(400, "EntityTooLarge");
    server.get("/data/k").await.check(404, "NoSuchKey");
    server.send("PUT", "/data/k", &cut, body).await.ok();
    assert_eq!(server.get("/data/k").await.text(), "hello");
}

#[tokio::test]
async fn what_is_not_there() {
    let server = Server::with_bucket("data").await;
    for (method, target) in [
        ("GET", "/data?inventory&id=1"),
        ("PUT", "/data?replication"),
        ("PUT", "/data?website"),
        ("POST", "/data/k?select&select-type=2"),
    ] {
        let answer = server.send(method, target, &[], "<x/>").await;
        assert!(matches!(answer.element("Code"), "NotImplemented" | "MalformedXML"), "{} {}", target, answer.text());
        assert!(!answer.element("Message").is_empty() && !answer.element("RequestId").is_empty());
    }
    server.get("/data?website").await.check(404, "NoSuchWebsiteConfiguration");
    server.get("/data?replication").await.check(404, "ReplicationConfigurationNotFoundError");
    server.get("/data?object-lock").await.check(404, "ObjectLockConfigurationNotFoundError");
    server.get("/data?accelerate").await.ok();
    server.get("/data?logging").await.ok();
    assert_eq!(server.get("/data?requestPayment").await.ok().element("Payer"), "BucketOwner");
}

#[tokio::test]
async fn forms() {
    let server = Server::with_bucket("data").await;
    let form = |fields: &[(&str, &str)], file: &str| {
        let mut form = String::new();
        for (name, value) in fields {
            form.push_str(&format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
        }
        let head =
            "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\nContent-Type: text/plain";
        form.push_str(&format!("{head}\r\n\r\n{file}\r\n--xyz--\r\n"));
        form
    };
    let kind = [("content-type", "multipart/form-data; boundary=xyz")];
    let fields = [("key", "from/form"), ("Content-Type", "text/plain"), ("x-amz-meta-a", "1")];
    assert_eq!(server.send("POST", "/data", &kind, form(&fields, "content")).await.status, 204);
    let got = server.get("/data/from/form").await.ok();
    assert_eq!((got.text(), got.header("x-amz-meta-a")), ("content", "1"));
    let empty = form(&[("key", "empty"), ("success_action_status", "201")], "");
    let posted = server.send("POST", "/data", &kind, empty).await;
    assert_eq!((posted.status, posted.element("Key")), (201, "empty"));
    assert_eq!(server.get("/data/empty").await.ok().body.len(), 0);
}
