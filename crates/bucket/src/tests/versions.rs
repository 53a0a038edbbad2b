use super::harness::{Server, content};

async fn enable(server: &Server, status: &str) {
    let body = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    server.put("/data?versioning", body).await.ok();
}

async fn listed(server: &Server) -> Vec<String> {
    let all = server.get("/data?versions").await.ok();
    assert_eq!(all.element("IsTruncated"), "false");
    all.elements("VersionId").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn every_version_is_kept() {
    let server = Server::with_bucket("data").await;
    assert_eq!(server.get("/data?versioning").await.ok().element("Status"), "");
    let before = server.put("/data/k", content(20_000)).await.ok();
    assert_eq!(before.header("x-amz-version-id"), "");
    enable(&server, "Enabled").await;
    assert_eq!(server.get("/data?versioning").await.element("Status"), "Enabled");
    let mut ids = vec!["null".to_owned()];
    for size in [30_000, 3] {
        ids.push(server.put("/data/k", content(size)).await.ok().header("x-amz-version-id").to_owned());
    }
    for (id, size) in ids.iter().zip([20_000, 30_000, 3]) {
        let got = server.get(&format!("/data/k?versionId={id}")).await.ok();
        assert_eq!((got.body.len(), got.header("x-amz-version-id")), (size, &**id));
    }
    assert_eq!(server.get("/data/k").await.header("x-amz-version-id"), ids[2]);
    assert!(ids[1].len() == 32 && ids[1] != ids[2]);

    let marker = server.delete("/data/k").await.ok();
    let marker_id = marker.header("x-amz-version-id").to_owned();
    assert_eq!(marker.header("x-amz-delete-marker"), "true");
    let gone = server.get("/data/k").await;
    gone.check(404, "NoSuchKey");
    assert_eq!((gone.header("x-amz-delete-marker"), gone.header("x-amz-version-id")), ("true", &*marker_id));
    let at_marker = server.get(&format!("/data/k?versionId={marker_id}")).await;
    at_marker.check(405, "MethodNotAllowed");
    assert_eq!((at_marker.header("allow"), at_marker.header("x-amz-delete-marker")), ("DELETE", "true"));
    assert!(server.get("/data?list-type=2").await.elements("Key").is_empty());
    let mut all = ids.clone();
    all.reverse();
    // Markers come before versions in the document; within each newest first.
    assert_eq!(listed(&server).await, [vec![marker_id.clone()], all.clone()].concat());
    server.delete("/data").await.check(409, "BucketNotEmpty");

    // Without its marker the object is back; without its latest version the one before is the latest.
    let removed = server.delete(&format!("/data/k?versionId={marker_id}")).await.ok();
    assert_eq!((removed.header("x-amz-delete-marker"), removed.header("x-amz-version-id")), ("true", &*marker_id));
    assert_eq!(server.get("/data/k").await.ok().body.len(), 3);
    server.delete(&format!("/data/k?versionId={}", ids[2])).await.ok();
    assert_eq!(server.get("/data/k").await.ok().header("x-amz-version-id"), ids[1]);
    server.get(&format!("/data/k?versionId={}", ids[2])).await.check(404, "NoSuchVersion");
    server.get("/data/k?versionId=nonsense").await.check(400, "InvalidArgument");
    server.delete("/data/k?versionId=null").await.ok();
    assert_eq!(listed(&server).await, [ids[1].clone()]);
    server.wait_for_files(1).await;
    // A version that is not there is deleted already.
    assert_eq!(server.delete(&format!("/data/k?versionId={}", ids[2])).await.status, 204);
    server.delete(&format!("/data/k?versionId={}", ids[1])).await.ok();
    server.wait_for_files(0).await;
    assert_eq!(server.delete("/data").await.status, 204);
}

#[tokio::test]
async fn suspended_buckets_have_one_null_version() {
    let server = Server::with_bucket("data").await;
    enable(&server, "Enabled").await;
    let first = server.put("/data/k", "1").await.ok().header("x-amz-version-id").to_owned();
    enable(&server, "Suspended").await;
    assert_eq!(server.put("/data/k", "2").await.ok().header("x-amz-version-id"), "null");
    assert_eq!(server.put("/data/k", "3").await.ok().header("x-amz-version-id"), "null");
    assert_eq!(listed(&server).await, ["null", &first]);
    enable(&server, "Enabled").await;
    let second = server.put("/data/k", "4").await.ok().header("x-amz-version-id").to_owned();
    assert_eq!(listed(&server).await, [&*second, "null", &first]);
    assert_eq!(server.get("/data/k?versionId=null").await.text(), "3");
    enable(&server, "Suspended").await;
    // The null version is an older one by now: a new null version replaces it wherever it is.
    server.put("/data/k", "5").await.ok();
    assert_eq!(listed(&server).await, ["null", &second, &first]);
    let marker = server.delete("/data/k").await.ok();
    assert_eq!((marker.header("x-amz-version-id"), marker.header("x-amz-delete-marker")), ("null", "true"));
    assert_eq!(listed(&server).await, ["null", &*second, &first]);
    server.delete("/data/k?versionId=null").await.ok();
    assert_eq!(server.get("/data/k").await.text(), "4");
    server.delete(&format!("/data/k?versionId={second}")).await.ok();
    server.delete(&format!("/data/k?versionId={first}")).await.ok();
    assert!(listed(&server).await.is_empty());
}

#[tokio::test]
async fn tags_and_copies_of_versions() {
    let server = Server::with_bucket("data").await;
    enable(&server, "Enabled").await;
    let old = server.put("/data/k", "old").await.ok().header("x-amz-version-id").to_owned();
    server.put("/data/k", "new").await.ok();
    let tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let put = server.put(&format!("/data/k?tagging&versionId={old}"), tagging).await.ok();
    assert_eq!(put.header("x-amz-version-id"), old);
    assert_eq!(server.get(&format!("/data/k?tagging&versionId={old}")).await.elements("Key"), ["a"]);
    assert!(server.get("/data/k?tagging").await.elements("Key").is_empty());
    let source = format!("data/k?versionId={old}");
    let copied = server.send("PUT", "/data/k", &[("x-amz-copy-source", &*source)], "").await.ok();
    assert_eq!(copied.header("x-amz-copy-source-version-id"), old);
    assert_eq!(server.get("/data/k").await.text(), "old");
    let list = format!(
        "<Delete><Object><Key>k</Key><VersionId>{old}</VersionId></Object><Object><Key>k</Key></Object></Delete>"
    );
    let deleted = server.post("/data?delete", list).await.ok();
    assert_eq!((deleted.elements("VersionId"), deleted.elements("DeleteMarker")), (vec![&*old], vec!["true"]));
    assert_eq!(deleted.elements("DeleteMarkerVersionId").len(), 1);
}

#[tokio::test]
async fn listing_goes_on_within_a_key() {
    let server = Server::with_bucket("data").await;
    enable(&server, "Enabled").await;
    for key in ["a", "b"] {
        for i in 0..5 {
            server.put(&format!("/data/{key}"), i.to_string()).await.ok();
        }
        server.delete(&format!("/data/{key}")).await.ok();
    }
    let (mut found, mut target) = (Vec::new(), "/data?versions&max-keys=3".to_owned());
    loop {
        let page = server.get(&target).await.ok();
        found.extend(page.elements("VersionId").into_iter().map(str::to_owned));
        if page.element("IsTruncated") == "false" {
            break;
        }
        let (key, version) = (page.element("NextKeyMarker"), page.element("NextVersionIdMarker"));
        target = format!("/data?versions&max-keys=3&key-marker={key}&version-id-marker={version}");
    }
    assert_eq!(found.len(), 12);
    let unique: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!(unique.len(), 12);
}
