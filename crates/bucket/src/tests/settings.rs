use super::harness::Server;

#[tokio::test]
async fn defaults_and_what_is_put() {
    let server = Server::with_bucket("data").await;
    assert_eq!(server.get("/data?encryption").await.ok().element("SSEAlgorithm"), "AES256");
    assert_eq!(server.get("/data?publicAccessBlock").await.ok().element("BlockPublicAcls"), "true");
    assert_eq!(server.get("/data?ownershipControls").await.ok().element("ObjectOwnership"), "BucketOwnerEnforced");
    server.get("/data?notification").await.ok();
    for (name, code) in [
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("policy", "NoSuchBucketPolicy"),
        ("cors", "NoSuchCORSConfiguration"),
        ("tagging", "NoSuchTagSet"),
        ("policyStatus", "NoSuchBucketPolicy"),
    ] {
        server.get(&format!("/data?{name}")).await.check(404, code);
    }
    let block = "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls><IgnorePublicAcls>true\
                 </IgnorePublicAcls></PublicAccessBlockConfiguration>";
    server.put("/data?publicAccessBlock", block).await.ok();
    let got = server.get("/data?publicAccessBlock").await.ok();
    assert_eq!((got.element("IgnorePublicAcls"), got.element("RestrictPublicBuckets")), ("true", "false"));
    assert_eq!(server.delete("/data?publicAccessBlock").await.status, 204);
    server.get("/data?publicAccessBlock").await.check(404, "NoSuchPublicAccessBlockConfiguration");

    let tagging = "<Tagging><TagSet><Tag><Key>team</Key><Value>nlp</Value></Tag></TagSet></Tagging>";
    server.put("/data?tagging", tagging).await.ok();
    assert_eq!(server.get("/data?tagging").await.ok().element("Value"), "nlp");
    let system = tagging.replace("team", "aws:team");
    server.put("/data?tagging", system).await.check(400, "InvalidTag");
    assert_eq!(server.delete("/data?tagging").await.status, 204);

    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    server.put("/data?policy", policy).await.ok();
    assert_eq!(server.get("/data?policy").await.ok().text(), policy);
    server.put("/data?policy", "nonsense").await.check(400, "MalformedPolicy");
    server.put("/data?policy", "{}").await.check(400, "MalformedPolicy");
    server.delete("/data?policy").await.ok();
    server.get("/data?policy").await.check(404, "NoSuchBucketPolicy");
}

#[tokio::test]
async fn encryption_by_default() {
    let server = Server::with_bucket("data").await;
    let kms = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms\
               </SSEAlgorithm><KMSMasterKeyID>key-1</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>\
               <BucketKeyEnabled>true</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>";
    server.put("/data?encryption", kms).await.ok();
    assert_eq!(server.get("/data?encryption").await.ok().element("KMSMasterKeyID"), "key-1");
    let put = server.put("/data/k", "x").await.ok();
    for answer in [put, server.get("/data/k").await.ok()] {
        assert_eq!(answer.header("x-amz-server-side-encryption"), "aws:kms");
        assert_eq!(answer.header("x-amz-server-side-encryption-aws-kms-key-id"), "key-1");
        assert_eq!(answer.header("x-amz-server-side-encryption-bucket-key-enabled"), "true");
    }
    let own = server.send("PUT", "/data/k", &[("x-amz-server-side-encryption", "AES256")], "x").await.ok();
    assert_eq!(own.header("x-amz-server-side-encryption"), "AES256");
    let wrong = server.send("PUT", "/data/k", &[("x-amz-server-side-encryption", "rot13")], "x").await;
    wrong.check(400, "InvalidEncryptionAlgorithmError");
    let customer = [("x-amz-server-side-encryption-customer-algorithm", "AES256")];
    server.send("PUT", "/data/k", &customer, "x").await.check(501, "NotImplemented");
    server.delete("/data?encryption").await.ok();
    assert_eq!(server.get("/data?encryption").await.element("SSEAlgorithm"), "AES256");
}

#[tokio::test]
async fn access_lists() {
    let server = Server::with_bucket("data").await;
    server.put("/data/k", "x").await.ok();
    for target in ["/data?acl", "/data/k?acl"] {
        let acl = server.get(target).await.ok();
        assert_eq!((acl.element("Permission"), acl.elements("ID").len()), ("FULL_CONTROL", 2), "{}", acl.text());
        server.send("PUT", target, &[("x-amz-acl", "private")], "").await.ok();
        let public = server.send("PUT", target, &[("x-amz-acl", "public-read")], "").await;
        public.check(400, "AccessControlListNotSupported");
    }
    let public = server.send("PUT", "/data/k", &[("x-amz-acl", "public-read")], "x").await;
    public.check(400, "AccessControlListNotSupported");
    server.send("PUT", "/data/k", &[("x-amz-acl", "bucket-owner-full-control")], "x").await.ok();
    let controls =
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
    server.put("/data?ownershipControls", controls).await.ok();
    server.send("PUT", "/data/k", &[("x-amz-acl", "public-read")], "x").await.check(501, "NotImplemented");
}

#[tokio::test]
async fn notifications_and_cors() {
    let server = Server::with_bucket("data").await;
    let notification = "<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:000000000000:q\
                        </Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name>\
                        <Value>raw/</Value></FilterRule></S3Key></Filter></QueueConfiguration>\
                        <EventBridgeConfiguration/></NotificationConfiguration>";
    server.put("/data?notification", notification).await.ok();
    let got = server.get("/data?notification").await.ok();
    assert_eq!((got.element("Event"), got.element("Value")), ("s3:ObjectCreated:*", "raw/"), "{}", got.text());
    assert_eq!(got.element("Id").len(), 36);
    assert!(got.text().contains("EventBridgeConfiguration"));
    let wrong = notification.replace(":sqs:", ":sns:");
    server.put("/data?notification", wrong).await.check(400, "InvalidArgument");

    let cors = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example.org</AllowedOrigin><AllowedMethod>GET\
                </AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader>\
                <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>";
    let preflight = |origin: &'static str, method: &'static str, header: &'static str| {
        [("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", header)]
    };
    let good = preflight("https://a.example.org", "PUT", "x-amz-meta-a");
    server.send("OPTIONS", "/data/k", &good, "").await.check(403, "AccessForbidden");
    server.put("/data?cors", cors).await.ok();
    assert_eq!(server.get("/data?cors").await.ok().elements("AllowedMethod"), ["GET", "PUT"]);
    let allowed = server.send("OPTIONS", "/data/k", &good, "").await.ok();
    assert_eq!(allowed.header("access-control-allow-origin"), "https://a.example.org");
    assert_eq!(allowed.header("access-control-allow-headers"), "x-amz-meta-a");
    assert_eq!(allowed.header("access-control-max-age"), "60");
    for refused in [
        preflight("https://elsewhere.org", "PUT", "x-amz-meta-a"),
        preflight("https://a.example.org", "DELETE", "x-amz-meta-a"),
        preflight("https://a.example.org", "PUT", "authorization"),
    ] {
        server.send("OPTIONS", "/data/k", &refused, "").await.check(403, "AccessForbidden");
    }
    server.put("/data/k", "x").await.ok();
    let got = server.send("GET", "/data/k", &[("origin", "https://b.example.org")], "").await.ok();
    assert_eq!(got.header("access-control-allow-origin"), "https://b.example.org");
    assert_eq!(got.header("access-control-expose-headers"), "ETag");
    assert_eq!(server.get("/data/k").await.header("access-control-allow-origin"), "");
}
