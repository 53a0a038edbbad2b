use super::harness::{Answer, Server, content};
use crate::checksum::{Algorithm, Digests};

const MIB: usize = 1024 * 1024;

pub(super) async fn begin(server: &Server, target: &str, headers: &[(&str, &str)]) -> String {
    server.send("POST", &format!("{target}?uploads"), headers, "").await.ok().element("UploadId").to_owned()
}

pub(super) fn completion(parts: &[(u32, &str)]) -> String {
    let part = |(number, etag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", etag.replace('"', "&quot;"))
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

async fn complete(server: &Server, target: &str, id: &str, parts: &[(u32, &str)]) -> Answer {
    server.post(&format!("{target}?uploadId={id}"), completion(parts)).await
}

#[tokio::test]
async fn parts_make_an_object() {
    let server = Server::with_bucket("data").await;
    let headers = [("content-type", "text/plain"), ("x-amz-meta-a", "1"), ("x-amz-tagging", "t=1")];
    let id = begin(&server, "/data/big", &headers).await;
    let (first, second, last) = (content(5 * MIB), content(5 * MIB + 3), content(100));
    let mut etags = Vec::new();
    // In any order, and one of them twice.
    for (number, part) in [(7, &last), (1, &last), (1, &first), (3, &second)] {
        let put = server.put(&format!("/data/big?partNumber={number}&uploadId={id}"), part.clone()).await.ok();
        etags.push((number, put.header("etag").to_owned()));
    }
    server.get("/data/big").await.check(404, "NoSuchKey");
    let listed = server.get(&format!("/data/big?uploadId={id}")).await.ok();
    assert_eq!(
        (listed.elements("PartNumber"), listed.elements("Size")),
        (vec!["1", "3", "7"], vec!["5242880", "5242883", "100"])
    );
    let page = server.get(&format!("/data/big?uploadId={id}&max-parts=1&part-number-marker=1")).await.ok();
    assert_eq!(
        (page.elements("PartNumber"), page.element("IsTruncated"), page.element("NextPartNumberMarker")),
        (vec!["3"], "true", "3")
    );
    let uploads = server.get("/data?uploads").await.ok();
    assert_eq!((uploads.elements("Key"), uploads.element("UploadId")), (vec!["big"], &*id));

    let chosen = [(1, &*etags[2].1), (3, &*etags[3].1), (7, &*etags[0].1)];
    let done = complete(&server, "/data/big", &id, &chosen).await.ok();
    let etag = done.element("ETag").replace("&quot;", "\"");
    assert!(etag.ends_with("-3\""), "{etag}");
    assert_eq!(
        (done.element("Bucket"), done.element("Key"), done.element("ChecksumType")),
        ("data", "big", "FULL_OBJECT")
    );
    let whole = [&first[..], &second, &last].concat();
    let got = server.send("GET", "/data/big", &[("x-amz-checksum-mode", "ENABLED")], "").await.ok();
    assert_eq!(got.body, whole);
    assert_eq!(
        (got.header("etag"), got.header("content-type"), got.header("x-amz-meta-a")),
        (&*etag, "text/plain", "1")
    );
    let mut digests = Digests::new(&[Algorithm::Crc64Nvme]);
    digests.update(&whole);
    let crc = digests
        .finish()
        .get(Algorithm::Crc64Nvme)
        .map(|v| crate::checksum::Checksum::full(Algorithm::Crc64Nvme, v.to_vec()).text());
    assert_eq!(got.header("x-amz-checksum-crc64nvme"), crc.unwrap());

    // Ranges across parts, and parts by their number.
    let range = format!("bytes={}-{}", 5 * MIB - 10, 10 * MIB + 50);
    let got = server.send("GET", "/data/big", &[("range", &range)], "").await;
    assert_eq!(got.body, whole[5 * MIB - 10..=10 * MIB + 50]);
    for (number, part) in [(1, &first), (2, &second), (3, &last)] {
        let got = server.get(&format!("/data/big?partNumber={number}")).await;
        assert_eq!((got.status, got.header("x-amz-mp-parts-count"), &got.body), (206, "3", part));
    }
    server.get("/data/big?partNumber=4").await.check(416, "InvalidPartNumber");

    // Completing again is answered again; the parts are not there any more for anything else.
    let again = complete(&server, "/data/big", &id, &chosen).await.ok();
    assert_eq!(again.element("ETag"), done.element("ETag"));
    complete(&server, "/data/big", &id, &chosen[..2]).await.check(404, "NoSuchUpload");
    server.get(&format!("/data/big?uploadId={id}")).await.check(404, "NoSuchUpload");
    assert!(server.get("/data?uploads").await.elements("Key").is_empty());
    server.wait_for_files(2).await;
    let copied = server.send("PUT", "/data/copy", &[("x-amz-copy-source", "data/big")], "").await.ok();
    assert!(!copied.element("ETag").contains("-3"));
    assert_eq!(server.get("/data/copy").await.body, whole);
    server.delete("/data/big").await.ok();
    server.wait_for_files(1).await;
}

#[tokio::test]
async fn refusals() {
    let server = Server::with_bucket("data").await;
    let id = begin(&server, "/data/k", &[]).await;
    let part = |number: &str| format!("/data/k?partNumber={number}&uploadId={id}");
    for number in ["0", "10001", "-1"] {
        server.put(&part(number), "x").await.check(400, "InvalidArgument");
    }
    server.put("/data/k?partNumber=1&uploadId=nonsense", "x").await.check(404, "NoSuchUpload");
    server.put(&format!("/data/other?partNumber=1&uploadId={id}"), "x").await.check(404, "NoSuchUpload");
    let one = server.put(&part("1"), "small").await.ok().header("etag").to_owned();
    let two = server.put(&part("2"), "small too").await.ok().header("etag").to_owned();
    complete(&server, "/data/k", &id, &[(2, &two), (1, &one)]).await.check(400, "InvalidPartOrder");
    complete(&server, "/data/k", &id, &[(1, &one), (1, &one)]).await.check(400, "InvalidPartOrder");
    complete(&server, "/data/k", &id, &[(1, &two)]).await.check(400, "InvalidPart");
    complete(&server, "/data/k", &id, &[(1, &one), (3, &two)]).await.check(400, "InvalidPart");
    complete(&server, "/data/k", &id, &[]).await.check(400, "MalformedXML");
    let small = complete(&server, "/data/k", &id, &[(1, &one), (2, &two)]).await;
    small.check(400, "EntityTooSmall");
    assert_eq!((small.element("PartNumber"), small.element("MinSizeAllowed")), ("1", "5242880"));
    server.put("/data/k", "in the way").await.ok();
    let target = format!("/data/k?uploadId={id}");
    let answer = server.send("POST", &target, &[("if-none-match", "*")], completion(&[(1, &one)])).await;
    answer.check(412, "PreconditionFailed");
    let answer = server.send("POST", &target, &[("x-amz-mp-object-size", "6")], completion(&[(1, &one)])).await;
    answer.check(400, "InvalidRequest");
    assert_eq!(server.delete(&target).await.status, 204);
    server.delete(&target).await.check(404, "NoSuchUpload");
    complete(&server, "/data/k", &id, &[(1, &one)]).await.check(404, "NoSuchUpload");
}

#[tokio::test]
async fn unfinished_uploads_go_with_their_bucket_or_when_aborted() {
    let server = Server::with_bucket("data").await;
    let (a, b) = (begin(&server, "/data/a", &[]).await, begin(&server, "/data/a", &[]).await);
    begin(&server, "/data/x/b", &[]).await;
    server.put(&format!("/data/a?partNumber=1&uploadId={a}"), content(50_000)).await.ok();
    server.put(&format!("/data/a?partNumber=1&uploadId={b}"), content(50_000)).await.ok();
    server.wait_for_files(2).await;
    let page = server.get("/data?uploads&max-uploads=1").await.ok();
    let next = format!("/data?uploads&key-marker=a&upload-id-marker={}", page.element("NextUploadIdMarker"));
    assert_eq!((page.element("IsTruncated"), server.get(&next).await.elements("Key")), ("true", vec!["a", "x/b"]));
    assert_eq!(server.get("/data?uploads&key-marker=a").await.elements("Key"), ["x/b"]);
    assert_eq!(server.get("/data?uploads&delimiter=/").await.elements("Prefix"), ["x/", ""]);
    server.delete(&format!("/data/a?uploadId={a}")).await.ok();
    server.wait_for_files(1).await;
    assert_eq!(server.delete("/data").await.status, 204);
    server.wait_for_files(0).await;
    server.put("/data", "").await.ok();
    assert!(server.get("/data?uploads").await.elements("Key").is_empty());
}

#[tokio::test]
async fn checksums_of_parts() {
    let server = Server::with_bucket("data").await;
    let (first, last) = (content(5 * MIB), content(10));
    for (algorithm, kind) in
        [("SHA256", "COMPOSITE"), ("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT")]
    {
        let headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)];
        let id = begin(&server, "/data/k", &headers).await;
        let lower = algorithm.to_ascii_lowercase();
        let mut parts = String::new();
        for (number, part) in [(1, &first), (2, &last)] {
            let put = server.put(&format!("/data/k?partNumber={number}&uploadId={id}"), part.clone()).await.ok();
            let checksum = put.header(&format!("x-amz-checksum-{lower}"));
            assert!(!checksum.is_empty());
            parts.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag><Checksum{algorithm}>{checksum}\
                 </Checksum{algorithm}></Part>",
                put.header("etag")
            ));
        }
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let target = format!("/data/k?uploadId={id}");
        let name = format!("x-amz-checksum-{lower}");
        if kind == "COMPOSITE" {
            let without = body
                .replace(&format!("<Checksum{algorithm}>"), "<!--")
                .replace(&format!("</Checksum{algorithm}>"), "-->");
            server.post(&target, without).await.check(400, "InvalidRequest");
        }
        let other = [("x-amz-checksum-type", if kind == "COMPOSITE" { "FULL_OBJECT" } else { "COMPOSITE" })];
        server.send("POST", &target, &other, body.clone()).await.check(400, "InvalidRequest");
        let done = server.post(&target, body).await.ok();
        let told = done.element(&format!("Checksum{algorithm}"));
        assert_eq!(
            (done.element("ChecksumType"), told.ends_with("-2")),
            (kind, kind == "COMPOSITE"),
            "{}",
            done.text()
        );
        let head = server.send("HEAD", "/data/k", &[("x-amz-checksum-mode", "ENABLED")], "").await;
        assert_eq!((head.header(&name), head.header("x-amz-checksum-type")), (told, kind));
    }
    let impossible = [("x-amz-checksum-algorithm", "SHA256"), ("x-amz-checksum-type", "FULL_OBJECT")];
    server.send("POST", "/data/k?uploads", &impossible, "").await.check(400, "InvalidRequest");
    let id = begin(&server, "/data/k", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let crc = [("x-amz-checksum-crc32", "y/Q5Jg==")];
    let target = format!("/data/k?partNumber=1&uploadId={id}");
    server.send("PUT", &target, &crc, "123456789").await.check(400, "InvalidRequest");
    // Without an algorithm chosen, parts may bring any.
    let id = begin(&server, "/data/k", &[]).await;
    let target = format!("/data/k?partNumber=1&uploadId={id}");
    let put = server.send("PUT", &target, &crc, "123456789").await.ok();
    assert_eq!(put.header("x-amz-checksum-crc32"), "y/Q5Jg==");
    server.send("PUT", &target, &crc, "123456780").await.check(400, "BadDigest");
}

#[tokio::test]
async fn parts_from_other_objects() {
    let server = Server::with_bucket("data").await;
    let source = content(6 * MIB);
    server.put("/data/source", source.clone()).await.ok();
    let id = begin(&server, "/data/k", &[]).await;
    let target = |number: u32| format!("/data/k?partNumber={number}&uploadId={id}");
    let range = format!("bytes=10-{}", 5 * MIB + 9);
    let headers = [("x-amz-copy-source", "data/source"), ("x-amz-copy-source-range", &*range)];
    let one = server.send("PUT", &target(1), &headers, "").await.ok().element("ETag").replace("&quot;", "\"");
    let two = server.send("PUT", &target(2), &headers[..1], "").await.ok().element("ETag").replace("&quot;", "\"");
    complete(&server, "/data/k", &id, &[(1, &one), (2, &two)]).await.ok();
    assert_eq!(server.get("/data/k").await.body, [&source[10..5 * MIB + 10], &source].concat());
    let id = begin(&server, "/data/k", &[]).await;
    let target = format!("/data/k?partNumber=1&uploadId={id}");
    for range in ["bytes=0-", "bytes=-5", "nonsense", "bytes=0-99999999"] {
        let headers = [("x-amz-copy-source", "data/source"), ("x-amz-copy-source-range", range)];
        server.send("PUT", &target, &headers, "").await.check(400, "InvalidArgument");
    }
}
