use proptest::prelude::*;

use super::harness::Server;

fn target() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        Just("/"),
        Just("/data"),
        Just("/data/"),
        Just("/data/k"),
        Just("//"),
        Just("/%FF/%00"),
        Just("/D")
    ];
    let names = [
        "acl",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "lifecycle",
        "list-type=2",
        "location",
        "max-keys=x",
        "max-parts=-1",
        "notification",
        "partNumber=0",
        "partNumber=99999999999",
        "policy",
        "tagging",
        "uploadId=u",
        "uploads",
        "versionId=v",
        "versioning",
        "versions",
        "x-id=GetObject",
        "prefix=%FF",
        "continuation-token=%20",
        "X-Amz-Signature=s",
        "X-Amz-Expires=-1",
        "Signature=s",
        "response-expires=never",
        "x-amz-meta-a=%0A",
    ];
    let query = proptest::collection::vec(proptest::sample::select(names.to_vec()), 0..4);
    (path, query).prop_map(
        |(path, query)| if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) },
    )
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let names = [
        "authorization",
        "content-md5",
        "content-type",
        "content-encoding",
        "expect",
        "expires",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "origin",
        "range",
        "x-amz-acl",
        "x-amz-checksum-crc32",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-copy-source-range",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-meta-a",
        "x-amz-mp-object-size",
        "x-amz-object-attributes",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-storage-class",
        "x-amz-tagging",
        "x-amz-trailer",
    ];
    let values = prop_oneof![
        "[ -~]{0,20}",
        Just("*".to_owned()),
        Just("STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned()),
        Just("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned()),
        Just("x-amz-checksum-crc32".to_owned()),
        Just("bytes=0-18446744073709551615".to_owned()),
        Just("/data/k?versionId=null".to_owned()),
        Just("multipart/form-data; boundary=b".to_owned()),
        Just("18446744073709551615".to_owned()),
        Just("data.s3.localhost".to_owned()),
    ];
    proptest::collection::vec((proptest::sample::select(names.to_vec()), values), 0..4)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..64),
        Just(b"<Tagging><TagSet><Tag><Key>".to_vec()),
        Just(b"<Delete><Object><Key></Key></Object></Delete>".to_vec()),
        Just(b"ffffffffffffffff\r\nx".to_vec()),
        Just(b"1\r\nx\r\n0\r\n:\r\n\r\n".to_vec()),
        Just(b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b--".to_vec()),
        Just(b"<LifecycleConfiguration><Rule><Status>Enabled</Status></Rule></LifecycleConfiguration>".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes is answered, never with a panic and never as our own fault.
    #[test]
    fn any_request_is_answered(
        requests in proptest::collection::vec((0usize..6, target(), headers(), body()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::with_bucket("data").await;
            server.put("/data/k", "content").await.ok();
            for (method, target, headers, body) in requests {
                let method = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"][method];
                let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                let answer = server.send(method, &target, &headers, body.clone()).await;
                let is_known = answer.status != 500;
                assert!(is_known, "{method} {target} {headers:?} {body:?}: {}", answer.text());
            }
        });
    }
}
