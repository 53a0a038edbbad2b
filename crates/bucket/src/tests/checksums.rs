use super::harness::{Server, content};
use crate::checksum::{Algorithm, Digests};

/// Of "123456789", as the algorithms' authors give it.
const VECTORS: [(Algorithm, &str); 5] = [
    (Algorithm::Crc32, "y/Q5Jg=="),
    (Algorithm::Crc32c, "4waSgw=="),
    (Algorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
    (Algorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
];

fn value(algorithm: Algorithm, data: &[u8]) -> String {
    let mut digests = Digests::new(&[algorithm]);
    digests.update(data);
    let found = digests.finish();
    crate::checksum::Checksum::full(algorithm, found.get(algorithm).unwrap().to_vec()).text()
}

#[tokio::test]
async fn claims_are_checked_and_told() {
    let server = Server::with_bucket("data").await;
    for (algorithm, text) in VECTORS {
        let put = server.send("PUT", "/data/k", &[(algorithm.header(), text)], "123456789").await.ok();
        assert_eq!((put.header(algorithm.header()), put.header("x-amz-checksum-type")), (text, "FULL_OBJECT"));
        let got = server.send("GET", "/data/k", &[("x-amz-checksum-mode", "ENABLED")], "").await.ok();
        assert_eq!((got.header(algorithm.header()), got.header("x-amz-checksum-type")), (text, "FULL_OBJECT"));
        assert_eq!(server.get("/data/k").await.header(algorithm.header()), "");
        let wrong = server.send("PUT", "/data/bad", &[(algorithm.header(), text)], "12345678X").await;
        wrong.check(400, "BadDigest");
        let invalid = server.send("PUT", "/data/bad", &[(algorithm.header(), "AAAA")], "123456789").await;
        invalid.check(400, "InvalidRequest");
    }
    server.get("/data/bad").await.check(404, "NoSuchKey");
    let two = [(VECTORS[0].0.header(), VECTORS[0].1), (VECTORS[1].0.header(), VECTORS[1].1)];
    server.send("PUT", "/data/k", &two, "123456789").await.check(400, "InvalidRequest");
    // Who claims nothing gets S3's own.
    let put = server.put("/data/k", "123456789").await.ok();
    assert_eq!(put.header("x-amz-checksum-crc64nvme"), VECTORS[4].1);
    let attributes = [("x-amz-object-attributes", "Checksum,ObjectSize,ETag")];
    let told = server.send("GET", "/data/k?attributes", &attributes, "").await.ok();
    assert_eq!((told.element("ChecksumCRC64NVME"), told.element("ObjectSize")), (VECTORS[4].1, "9"));
}

#[tokio::test]
async fn checksums_behind_the_content() {
    let server = Server::with_bucket("data").await;
    for size in [9, 70_000] {
        let body = content(size);
        for algorithm in Algorithm::ALL {
            let text = value(algorithm, &body);
            let chunked = |text: &str| {
                let mut chunked = format!("{size:x}\r\n").into_bytes();
                chunked.extend_from_slice(&body);
                chunked.extend_from_slice(format!("\r\n0\r\n{}:{text}\r\n\r\n", algorithm.header()).as_bytes());
                chunked
            };
            let length = size.to_string();
            let headers = [
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                ("x-amz-decoded-content-length", &*length),
                ("x-amz-trailer", algorithm.header()),
                ("x-amz-sdk-checksum-algorithm", algorithm.name()),
                ("content-encoding", "aws-chunked"),
            ];
            let put = server.send("PUT", "/data/k", &headers, chunked(&text)).await.ok();
            assert_eq!(put.header(algorithm.header()), text);
            let got = server.get("/data/k").await.ok();
            assert_eq!((got.header("content-encoding"), &got.body), ("", &body));
            let other = value(algorithm, b"something else");
            server.send("PUT", "/data/bad", &headers, chunked(&other)).await.check(400, "BadDigest");
            server.send("PUT", "/data/bad", &headers, chunked("??")).await.check(400, "InvalidRequest");
        }
    }
    server.get("/data/bad").await.check(404, "NoSuchKey");
    server.wait_for_files(1).await;
    let promised = [("x-amz-sdk-checksum-algorithm", "CRC32")];
    server.send("PUT", "/data/bad", &promised, "x").await.check(400, "InvalidRequest");
}

#[tokio::test]
async fn md5() {
    let server = Server::with_bucket("data").await;
    server.send("PUT", "/data/k", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "hello").await.ok();
    let wrong = server.send("PUT", "/data/k", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], "hellO").await;
    wrong.check(400, "BadDigest");
    server.send("PUT", "/data/k", &[("content-md5", "nonsense")], "hello").await.check(400, "InvalidDigest");
    // Of documents too.
    let tagging = "<Tagging><TagSet></TagSet></Tagging>";
    let answer = server.send("PUT", "/data/k?tagging", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], tagging).await;
    answer.check(400, "BadDigest");
    let crc = value(Algorithm::Crc32, tagging.as_bytes());
    server.send("PUT", "/data/k?tagging", &[("x-amz-checksum-crc32", &*crc)], tagging).await.ok();
    let sha = value(Algorithm::Sha1, tagging.as_bytes());
    server
        .send("PUT", "/data/k?tagging", &[("x-amz-checksum-sha1", &*sha)], "<Tagging/>")
        .await
        .check(400, "BadDigest");
}

#[test]
fn parts_combine() {
    let (a, b, c) = (content(1000), content(77), content(5000));
    let whole = [&a[..], &b, &c].concat();
    for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
        let parts: Vec<(Vec<u8>, u64)> =
            [&a, &b, &c].map(|part| (algorithm.parse(&value(algorithm, part)).unwrap(), part.len() as u64)).to_vec();
        let combined = algorithm.combined(parts.iter().map(|(v, n)| (v.as_slice(), *n))).unwrap();
        assert_eq!(combined, algorithm.parse(&value(algorithm, &whole)).unwrap(), "{algorithm:?}");
    }
}
