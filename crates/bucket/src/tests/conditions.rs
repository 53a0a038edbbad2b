use super::harness::Server;

#[tokio::test]
async fn reads() {
    let server = Server::with_bucket("data").await;
    let etag = server.put("/data/k", "hello").await.ok().header("etag").to_owned();
    let bare = etag.trim_matches('"').to_owned();
    let (old, same, later) =
        ("Tue, 13 Jan 2026 00:00:00 GMT", "Wed, 14 Jan 2026 09:30:00 GMT", "Thu, 15 Jan 2026 00:00:00 GMT");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("if-match", &etag)], 200),
        (&[("if-match", &bare)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "\"other\"")], 412),
        (&[("if-none-match", &etag)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"other\"")], 200),
        (&[("if-modified-since", old)], 200),
        (&[("if-modified-since", same)], 304),
        (&[("if-modified-since", later)], 304),
        (&[("if-unmodified-since", old)], 412),
        (&[("if-unmodified-since", same)], 200),
        // An ETag goes before a time.
        (&[("if-match", &etag), ("if-unmodified-since", old)], 200),
        (&[("if-none-match", "\"other\""), ("if-modified-since", later)], 200),
        (&[("if-match", &etag), ("if-none-match", &etag)], 304),
    ];
    for (headers, status) in cases {
        for method in ["GET", "HEAD"] {
            let answer = server.send(method, "/data/k", headers, "").await;
            assert_eq!(answer.status, *status, "{method} {headers:?}");
            if *status == 304 {
                assert_eq!((answer.header("etag"), answer.body.len()), (&*etag, 0));
            }
        }
    }
    let failed = server.send("GET", "/data/k", &[("if-match", "\"other\"")], "").await;
    failed.check(412, "PreconditionFailed");
    assert_eq!(failed.element("Condition"), "If-Match");
}

#[tokio::test]
async fn writes() {
    let server = Server::with_bucket("data").await;
    let absent = [("if-none-match", "*")];
    server.send("PUT", "/data/k", &absent, "1").await.ok();
    server.send("PUT", "/data/k", &absent, "2").await.check(412, "PreconditionFailed");
    let etag = server.head("/data/k").await.header("etag").to_owned();
    server.send("PUT", "/data/k", &[("if-match", "\"other\"")], "3").await.check(412, "PreconditionFailed");
    server.send("PUT", "/data/k", &[("if-match", &*etag)], "4").await.ok();
    server.send("PUT", "/data/k", &[("if-match", &*etag)], "5").await.check(412, "PreconditionFailed");
    server.send("PUT", "/data/none", &[("if-match", &*etag)], "6").await.check(404, "NoSuchKey");
    server.send("PUT", "/data/k", &[("if-none-match", "\"other\"")], "7").await.check(501, "NotImplemented");
    assert_eq!(server.get("/data/k").await.text(), "4");
    server.send("DELETE", "/data/k", &[("if-match", &*etag)], "").await.check(412, "PreconditionFailed");
    let etag = server.head("/data/k").await.header("etag").to_owned();
    server.send("DELETE", "/data/k", &[("if-match", &*etag)], "").await.ok();
    server.get("/data/k").await.check(404, "NoSuchKey");
}

#[tokio::test]
async fn of_many_who_want_to_be_first_one_is() {
    let server = Server::with_bucket("data").await;
    for size in [10, 50_000] {
        let target = format!("/data/lock-{size}");
        let answers = (0..40).map(|i| {
            let (server, target) = (&server, target.as_str());
            async move {
                let body = format!("{i:02}").repeat(size / 2);
                (i, server.send("PUT", target, &[("if-none-match", "*")], body).await.status)
            }
        });
        let answers = futures::future::join_all(answers).await;
        let winners: Vec<_> = answers.iter().filter(|(_, status)| *status == 200).collect();
        assert_eq!(winners.len(), 1);
        assert!(answers.iter().all(|(_, status)| matches!(status, 200 | 412)));
        assert_eq!(server.get(&target).await.text()[..2], format!("{:02}", winners[0].0));
    }
    // The losers' files are gone.
    server.wait_for_files(1).await;
}
