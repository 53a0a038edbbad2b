use serde_json::{Value, json};
use service::{Call, EffectId};

use super::harness::{Server, call, content};

async fn run(server: &Server, name: &str, input: Value) -> Result<Value, service::Fault> {
    server.registry().call_value("s3", name, call(), input).await
}

/// What AWS answered state machines, as recorded.
#[tokio::test]
async fn as_state_machines_see_it() {
    let server = Server::with_bucket("data").await;
    for (body, etag, crc) in [
        (json!(false), "68934a3e9455fa72420237eb05902327", "K81oMA=="),
        (json!({"Dict": "Value"}), "49e31cee5aec8faf3345893addb14346", "hnEfWw=="),
        (json!(0), "cfcd208495d565ef66e7dff9f98764da", "9NvfIQ=="),
    ] {
        let put = run(&server, "PutObject", json!({"Bucket": "data", "Key": "file-key", "Body": body})).await.unwrap();
        let wanted = json!({"ChecksumCRC32": crc, "ChecksumType": "FULL_OBJECT", "ETag": format!("\"{etag}\""),
                            "ServerSideEncryption": "AES256"});
        assert_eq!(put.to_string(), wanted.to_string());
    }
    for (body, etag) in [("binary data", "e1a49b59e0c42e4fd3735ad644f25d57"), ("", "d41d8cd98f00b204e9800998ecf8427e")]
    {
        server.put("/data/file_key", body).await.ok();
        let got = run(&server, "GetObject", json!({"Bucket": "data", "Key": "file_key"})).await.unwrap();
        let wanted = json!({"AcceptRanges": "bytes", "ContentLength": body.len(), "ContentType": "binary/octet-stream",
                            "ETag": format!("\"{etag}\""), "LastModified": "2026-01-14T09:30:00Z", "Metadata": {},
                            "ServerSideEncryption": "AES256", "Body": body});
        assert_eq!(got.to_string(), wanted.to_string());
    }
    let missing = run(&server, "GetObject", json!({"Bucket": "data", "Key": "none"})).await.unwrap_err();
    assert_eq!(
        (missing.code.as_str(), missing.message.as_str(), missing.status),
        ("NoSuchKey", "The specified key does not exist.", 404)
    );
    let missing = run(&server, "HeadBucket", json!({"Bucket": "nowhere"})).await.unwrap_err();
    assert_eq!((missing.code.as_str(), missing.status), ("NoSuchBucket", 404));
}

#[tokio::test]
async fn objects_and_lists() {
    let server = Server::start().await;
    run(&server, "CreateBucket", json!({"Bucket": "data"})).await.unwrap();
    let again = run(&server, "CreateBucket", json!({"Bucket": "data"})).await.unwrap_err();
    assert_eq!(again.code, "BucketAlreadyOwnedByYou");
    let put = json!({"Bucket": "data", "Key": "a/1", "Body": "text", "ContentType": "text/plain",
                     "Metadata": {"Job": "17"}, "Tagging": "t=1"});
    run(&server, "PutObject", put).await.unwrap();
    let binary = json!({"Bucket": "data", "Key": "a/2", "BodyBase64": "/wA="});
    run(&server, "PutObject", binary).await.unwrap();
    let got = run(&server, "GetObject", json!({"Bucket": "data", "Key": "a/2"})).await.unwrap();
    assert_eq!((&got["BodyBase64"], &got["ContentLength"]), (&json!("/wA="), &json!(2)));
    let head = run(&server, "HeadObject", json!({"Bucket": "data", "Key": "a/1"})).await.unwrap();
    assert_eq!((&head["Metadata"], &head["ContentType"]), (&json!({"job": "17"}), &json!("text/plain")));
    let range = json!({"Bucket": "data", "Key": "a/1", "Range": "bytes=1-2"});
    assert_eq!(run(&server, "GetObject", range).await.unwrap()["Body"], "ex");
    let copy = json!({"Bucket": "data", "Key": "b", "CopySource": "data/a/1"});
    let copied = run(&server, "CopyObject", copy).await.unwrap();
    assert_eq!(copied["CopyObjectResult"]["ETag"], head["ETag"]);
    let listed = run(&server, "ListObjectsV2", json!({"Bucket": "data", "Delimiter": "/"})).await.unwrap();
    assert_eq!((&listed["CommonPrefixes"], &listed["KeyCount"]), (&json!([{"Prefix": "a/"}]), &json!(2)));
    assert_eq!((&listed["Contents"][0]["Key"], &listed["Contents"][0]["Size"]), (&json!("b"), &json!(4)));
    assert_eq!(run(&server, "DeleteObject", json!({"Bucket": "data", "Key": "b"})).await.unwrap(), json!({}));
    let many = json!({"Bucket": "data", "Delete": {"Objects": [{"Key": "a/1"}, {"Key": "a/2"}]}});
    let deleted = run(&server, "DeleteObjects", many).await.unwrap();
    assert_eq!(deleted, json!({"Deleted": [{"Key": "a/1"}, {"Key": "a/2"}]}));
    let buckets = run(&server, "ListBuckets", json!({})).await.unwrap();
    assert_eq!(buckets["Buckets"], json!([{"CreationDate": "2026-01-14T09:30:00Z", "Name": "data"}]));
    run(&server, "DeleteBucket", json!({"Bucket": "data"})).await.unwrap();

    let wrong = run(&server, "PutObject", json!({"Bucket": "data"})).await.unwrap_err();
    assert_eq!(wrong.code, "ValidationException");
}

#[tokio::test]
async fn settings() {
    let server = Server::with_bucket("data").await;
    let cases = [
        (
            "PutBucketEncryption",
            json!({"ServerSideEncryptionConfiguration": {"Rules": [
            {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}}]}}),
            "GetBucketEncryption",
        ),
        ("PutBucketTagging", json!({"Tagging": {"TagSet": [{"Key": "a", "Value": "1"}]}}), "GetBucketTagging"),
        (
            "PutPublicAccessBlock",
            json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true}}),
            "GetPublicAccessBlock",
        ),
        (
            "PutBucketLifecycleConfiguration",
            json!({"LifecycleConfiguration": {"Rules": [
            {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Date": "2027-01-01"}}]}}),
            "GetBucketLifecycleConfiguration",
        ),
        (
            "PutBucketOwnershipControls",
            json!({"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}}),
            "GetBucketOwnershipControls",
        ),
        (
            "PutBucketNotificationConfiguration",
            json!({"NotificationConfiguration": {"LambdaFunctionConfigurations": [
            {"LambdaFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f", "Events": ["s3:ObjectCreated:*"]}]}}),
            "GetBucketNotificationConfiguration",
        ),
        (
            "PutBucketCors",
            json!({"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}}),
            "GetBucketCors",
        ),
        ("PutBucketVersioning", json!({"VersioningConfiguration": {"Status": "Suspended"}}), "GetBucketVersioning"),
        ("PutBucketPolicy", json!({"Policy": {"Version": "2012-10-17", "Statement": []}}), "GetBucketPolicy"),
    ];
    for (put, mut input, get) in cases {
        input["Bucket"] = "data".into();
        assert_eq!(run(&server, put, input).await.unwrap(), json!({}), "{put}");
        let got = run(&server, get, json!({"Bucket": "data"})).await.unwrap();
        assert!(got.as_object().is_some_and(|members| !members.is_empty()), "{get}: {got}");
        // The same through HTTP.
        let query = match get {
            "GetPublicAccessBlock" => "publicAccessBlock",
            "GetBucketLifecycleConfiguration" => "lifecycle",
            "GetBucketNotificationConfiguration" => "notification",
            "GetBucketOwnershipControls" => "ownershipControls",
            other => &other["GetBucket".len()..].to_ascii_lowercase(),
        };
        server.get(&format!("/data?{query}")).await.ok();
    }
    let policy = run(&server, "GetBucketPolicy", json!({"Bucket": "data"})).await.unwrap();
    assert_eq!(policy, json!({"Policy": "{\"Version\":\"2012-10-17\",\"Statement\":[]}"}));
    for delete in ["DeleteBucketPolicy", "DeleteBucketCors", "DeleteBucketLifecycle", "DeleteBucketTagging"] {
        run(&server, delete, json!({"Bucket": "data"})).await.unwrap();
    }
    let gone = run(&server, "GetBucketPolicy", json!({"Bucket": "data"})).await.unwrap_err();
    assert_eq!(gone.code, "NoSuchBucketPolicy");
    let wrong = json!({"Bucket": "data", "LifecycleConfiguration": {"Rules": [{"Status": 5}]}});
    assert_eq!(run(&server, "PutBucketLifecycleConfiguration", wrong).await.unwrap_err().code, "MalformedXML");
}

#[tokio::test]
async fn effects_happen_once() {
    let server = Server::with_bucket("data").await;
    server
        .put("/data?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        .await
        .ok();
    // The sender's outbox entry is there as long as it may deliver again.
    let effect = |n: u64| -> (Vec<u8>, Call) {
        let key = cell::outbox_key("sender", n);
        (key.clone(), call().with_effect(EffectId::new(&key)))
    };
    let (_, once) = effect(1);
    let put = json!({"Bucket": "data", "Key": "k", "Body": "x"});
    let first = server.registry().call_value("s3", "PutObject", once.clone(), put.clone()).await.unwrap();
    let second = server.registry().call_value("s3", "PutObject", once, put.clone()).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(server.get("/data?versions").await.elements("VersionId").len(), 1);
    let (_, other) = effect(2);
    let third = server.registry().call_value("s3", "PutObject", other, put).await.unwrap();
    assert_ne!(first["VersionId"], third["VersionId"]);
    let (_, refused) = effect(3);
    let conditional = json!({"Bucket": "data", "Key": "k", "Body": "y", "IfNoneMatch": "*"});
    for _ in 0..2 {
        let fault =
            server.registry().call_value("s3", "PutObject", refused.clone(), conditional.clone()).await.unwrap_err();
        assert_eq!((fault.code.as_str(), fault.status), ("PreconditionFailed", 412));
    }
    let (_, delete) = effect(4);
    let input = json!({"Bucket": "data", "Key": "k"});
    let marker = server.registry().call_value("s3", "DeleteObject", delete.clone(), input.clone()).await.unwrap();
    assert_eq!(server.registry().call_value("s3", "DeleteObject", delete, input).await.unwrap(), marker);
}

#[tokio::test]
async fn for_other_crates() {
    let server = Server::with_bucket("data").await;
    server.buckets.write_object(&call(), "data", "k", content(30_000), Some("text/plain")).await.unwrap();
    let read = |key: &str| server.buckets.read_object(&base::Scope::default(), "data", key, None);
    let object = read("k").unwrap();
    assert_eq!((object.size, object.content_type.as_str()), (30_000, "text/plain"));
    assert_eq!(object.bytes(30_000).await.unwrap(), content(30_000));
    assert_eq!(read("k").unwrap().bytes(29_999).await.unwrap_err().code, "EntityTooLarge");
    assert_eq!(read("none").err().unwrap().code, "NoSuchKey");
    let theirs = server.buckets.read_object(&base::Scope::new("111111111111", "us-east-1"), "data", "k", None);
    assert_eq!(theirs.err().unwrap().code, "AccessDenied");
}

#[tokio::test]
async fn multipart_uploads() {
    let server = Server::with_bucket("data").await;
    let named = |more: Value| {
        let mut input = json!({"Bucket": "data", "Key": "large"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let created = run(&server, "CreateMultipartUpload", named(json!({"ContentType": "text/plain"}))).await.unwrap();
    let id = created["UploadId"].as_str().unwrap();
    let mut parts = Vec::new();
    for (number, body) in [(1, "a".repeat(5 * 1024 * 1024)), (2, "end".to_owned())] {
        let part = named(json!({"UploadId": id, "PartNumber": number, "Body": body}));
        let etag = run(&server, "UploadPart", part).await.unwrap()["ETag"].clone();
        parts.push(json!({"PartNumber": number, "ETag": etag}));
    }
    let list = || run(&server, "ListMultipartUploads", json!({"Bucket": "data", "Prefix": "lar"}));
    assert_eq!(list().await.unwrap()["Uploads"][0]["UploadId"], id);
    let complete = named(json!({"UploadId": id, "MultipartUpload": {"Parts": parts}}));
    let etag = run(&server, "CompleteMultipartUpload", complete).await.unwrap()["ETag"].clone();
    let head = run(&server, "HeadObject", named(json!({}))).await.unwrap();
    assert_eq!((&head["ContentLength"], &head["ETag"]), (&json!(5 * 1024 * 1024 + 3), &etag));
    assert_eq!(head["ContentType"], "text/plain");
    let second = run(&server, "CreateMultipartUpload", named(json!({}))).await.unwrap();
    run(&server, "AbortMultipartUpload", named(json!({"UploadId": second["UploadId"]}))).await.unwrap();
    assert_eq!(list().await.unwrap().get("Uploads"), None);
    let gone = named(json!({"UploadId": second["UploadId"], "PartNumber": 1, "Body": "x"}));
    assert_eq!(run(&server, "UploadPart", gone).await.unwrap_err().code, "NoSuchUpload");
}
