use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::world::{ECHO, World, zip};
use crate::InvokeRequest;

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

fn code(content: &str) -> String {
    STANDARD.encode(zip(&[("handler.py", 0o644, content)]))
}

fn says(what: &str) -> String {
    format!("def handler(event, context):\n    return '{what}'\n")
}

async fn fault(world: &World, operation: &str, input: Value) -> (u16, String, String) {
    let fault = world.call(operation, input).await.unwrap_err();
    (fault.status, fault.code, fault.message)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_from_birth_to_death() {
    let world = World::new().await;
    let create = json!({
        "FunctionName": "f", "Runtime": "python3.12", "Handler": "handler.handler",
        "Role": "arn:aws:iam::000000000000:role/lambda", "Code": {"ZipFile": code(ECHO)}, "Tags": {"team": "a"},
    });
    let made = world.call("CreateFunction", create.clone()).await.unwrap();
    for (member, value) in [
        ("FunctionArn", json!(ARN)),
        ("Timeout", json!(3)),
        ("MemorySize", json!(128)),
        ("Version", json!("$LATEST")),
        ("State", json!("Active")),
        ("LastUpdateStatus", json!("Successful")),
        ("PackageType", json!("Zip")),
        ("LoggingConfig", json!({"LogFormat": "Text", "LogGroup": "/aws/lambda/f"})),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    assert!(made["LastModified"].as_str().unwrap().ends_with("+0000"));
    assert_eq!(
        fault(&world, "CreateFunction", create).await,
        (409, "ResourceConflictException".into(), "Function already exist: f".into())
    );
    let got = world.call("GetFunction", json!({"FunctionName": ARN})).await.unwrap();
    assert_eq!((&got["Configuration"]["CodeSha256"], &got["Tags"]["team"]), (&made["CodeSha256"], &json!("a")));
    let location = got["Code"]["Location"].as_str().unwrap();
    let hex = location.rsplit('/').next().unwrap().strip_suffix(".zip").unwrap();
    assert_eq!(STANDARD.encode(world.functions.package_zip(hex).await.unwrap()), code(ECHO));
    let update = json!({"FunctionName": "f", "Timeout": 7, "Description": "d", "RevisionId": made["RevisionId"]});
    let changed = world.call("UpdateFunctionConfiguration", update.clone()).await.unwrap();
    assert_eq!((&changed["Timeout"], &changed["Handler"]), (&json!(7), &json!("handler.handler")));
    assert_eq!(fault(&world, "UpdateFunctionConfiguration", update).await.1, "PreconditionFailedException");
    let listed = world.call("ListFunctions", json!({})).await.unwrap();
    assert_eq!(listed["Functions"].as_array().unwrap().len(), 1);
    world.call("DeleteFunction", json!({"FunctionName": "f"})).await.unwrap();
    assert_eq!(
        fault(&world, "GetFunction", json!({"FunctionName": "f"})).await,
        (404, "ResourceNotFoundException".into(), format!("Function not found: {ARN}"))
    );
    let missing = world.try_invoke(world.request("f", &json!({}))).await.unwrap_err();
    assert_eq!(missing.message, format!("Function not found: {ARN}:$LATEST"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_and_aliases() {
    let world = World::new().await;
    world.python("f", &says("one")).await;
    let first = world.call("PublishVersion", json!({"FunctionName": "f", "Description": "v1"})).await.unwrap();
    assert_eq!((&first["Version"], &first["FunctionArn"]), (&json!("1"), &json!(format!("{ARN}:1"))));
    let again = world.call("PublishVersion", json!({"FunctionName": "f"})).await.unwrap();
    assert_eq!(again["Version"], "1", "nothing has changed");
    let update = json!({"FunctionName": "f", "ZipFile": code(&says("two")), "Publish": true});
    assert_eq!(world.call("UpdateFunctionCode", update).await.unwrap()["Version"], "2");
    let alias = json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "1"});
    let made = world.call("CreateAlias", alias.clone()).await.unwrap();
    assert_eq!(made["AliasArn"], format!("{ARN}:live"));
    assert_eq!(fault(&world, "CreateAlias", alias).await.2, format!("Alias already exists: {ARN}:live"));
    for (name, expected) in [("f", "two"), ("f:1", "one"), ("f:2", "two"), ("f:live", "one")] {
        assert_eq!(world.invoke(name, &json!({})).await, (None, json!(expected)), "{name}");
    }
    let response = world.try_invoke(world.request("f:live", &json!({}))).await.unwrap();
    assert_eq!(response.executed_version.as_deref(), Some("1"));
    let weights = json!({"AdditionalVersionWeights": {"2": 1.0}});
    let update = json!({"FunctionName": "f", "Name": "live", "RoutingConfig": weights});
    world.call("UpdateAlias", update).await.unwrap();
    assert_eq!(world.invoke("f:live", &json!({})).await, (None, json!("two")), "all goes to the other version");
    assert_eq!(
        fault(&world, "DeleteFunction", json!({"FunctionName": "f", "Qualifier": "1"})).await.2,
        "Version 1 is referenced by alias(es): [live]"
    );
    assert_eq!(
        fault(&world, "GetAlias", json!({"FunctionName": "f", "Name": "x"})).await.2,
        format!("Cannot find alias arn: {ARN}:x")
    );
    let listed = world.call("ListVersionsByFunction", json!({"FunctionName": "f", "MaxItems": 2})).await.unwrap();
    assert_eq!(listed["Versions"][0]["Version"], "$LATEST");
    let rest = json!({"FunctionName": "f", "Marker": listed["NextMarker"]});
    let rest = world.call("ListVersionsByFunction", rest).await.unwrap();
    assert_eq!((&rest["Versions"][0]["Version"], rest.get("NextMarker")), (&json!("2"), None));
    world.call("DeleteAlias", json!({"FunctionName": "f", "Name": "live"})).await.unwrap();
    world.call("DeleteFunction", json!({"FunctionName": "f", "Qualifier": "2"})).await.unwrap();
    world.python("f2", &says("other")).await;
    assert_eq!(
        world.call("PublishVersion", json!({"FunctionName": "f"})).await.unwrap()["Version"],
        "3",
        "numbers are new"
    );
    let call = |name: &str| InvokeRequest { qualifier: Some("9".into()), ..world.request(name, &json!({})) };
    assert_eq!(world.try_invoke(call("f")).await.unwrap_err().message, format!("Function not found: {ARN}:9"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused() {
    let world = World::new().await;
    let create = |change: fn(&mut Value)| {
        let mut input = json!({
            "FunctionName": "f", "Runtime": "python3.12", "Handler": "handler.handler",
            "Role": "arn:aws:iam::000000000000:role/lambda", "Code": {"ZipFile": code(ECHO)},
        });
        change(&mut input);
        input
    };
    type Case = (fn(&mut Value), &'static str, &'static str);
    let cases: [Case; 11] = [
        (|i| i["FunctionName"] = "a b".into(), "ValidationException", "at 'functionName' failed to satisfy constraint"),
        (|i| i["Timeout"] = 901.into(), "ValidationException", "less than or equal to 900"),
        (|i| i["MemorySize"] = 64.into(), "ValidationException", "greater than or equal to 128"),
        (|i| i["Runtime"] = "java21".into(), "InvalidParameterValueException", "Value java21 at 'runtime'"),
        (|i| i["Role"] = "x".into(), "ValidationException", "at 'role' failed to satisfy constraint"),
        (|i| i["Handler"] = Value::Null, "InvalidParameterValueException", "Runtime and Handler are mandatory"),
        (|i| i["PackageType"] = "Image".into(), "InvalidParameterValueException", "PackageType Image"),
        (|i| i["Code"] = json!({}), "InvalidParameterValueException", "Please provide a source for function code."),
        (
            |i| i["Code"] = json!({"ZipFile": "bm8gemlw"}),
            "InvalidParameterValueException",
            "Could not unzip uploaded file.",
        ),
        (
            |i| i["Code"] = json!({"S3Bucket": "b", "S3Key": "k"}),
            "InvalidParameterValueException",
            "S3 Error Code: NoSuchKey",
        ),
        (
            |i| i["Environment"] = json!({"Variables": {"AWS_REGION": "x", "OK1": "y"}}),
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
    ];
    for (change, code, message) in cases {
        let (_, found, text) = fault(&world, "CreateFunction", create(change)).await;
        assert_eq!(found, code, "{text}");
        assert!(text.contains(message), "{text}");
    }
    let large = json!({"Variables": {"BIG": "x".repeat(5000)}});
    let mut input = create(|_| {});
    input["Environment"] = large;
    assert!(fault(&world, "CreateFunction", input).await.2.contains("exceeded the 4KB limit"));
    assert!(world.call("ListFunctions", json!({})).await.unwrap()["Functions"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_from_elsewhere() {
    let world = World::new().await;
    let base = json!({
        "Runtime": "python3.12", "Handler": "handler.handler", "Role": "arn:aws:iam::000000000000:role/lambda",
    });
    let create = |name: &str, code: Value| {
        let mut input = base.clone();
        input["FunctionName"] = name.into();
        input["Code"] = code;
        input
    };
    world.call("CreateFunction", create("s3", json!({"S3Bucket": "code", "S3Key": "echo.zip"}))).await.unwrap();
    assert_eq!(world.invoke("s3", &json!(1)).await, (None, json!(1)));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("handler.py"), says("folder")).unwrap();
    let sha = world.functions.import_directory(folder.path()).await.unwrap();
    world.call("CreateFunction", create("dir", json!({"PackageSha256": sha}))).await.unwrap();
    assert_eq!(world.invoke("dir", &json!(1)).await, (None, json!("folder")));
    // A package's folder may be lost.
    std::fs::remove_dir_all(world.dir.path().join("code")).unwrap();
    std::fs::create_dir(world.dir.path().join("code")).unwrap();
    world.call("UpdateFunctionConfiguration", json!({"FunctionName": "dir", "Timeout": 9})).await.unwrap();
    assert_eq!(world.invoke("dir", &json!(1)).await, (None, json!("folder")));
    // Packages go with their functions.
    world.call("DeleteFunction", json!({"FunctionName": "s3"})).await.unwrap();
    world.workers_at_most(1).await;
    world.functions.clear_up().await;
    let blobs = store::Blobs::open(&world.dir.path().join("packages")).unwrap().list().unwrap();
    assert_eq!(blobs.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers() {
    let world = World::new().await;
    let library = zip(&[("python/shared.py", 0o644, "NAME = 'layer'\n"), ("data/a.txt", 0o644, "from opt")]);
    let publish = json!({
        "LayerName": "lib", "Content": {"ZipFile": STANDARD.encode(&library)}, "CompatibleRuntimes": ["python3.12"],
    });
    let made = world.call("PublishLayerVersion", publish).await.unwrap();
    let arn = "arn:aws:lambda:us-east-1:000000000000:layer:lib:1";
    assert_eq!((&made["LayerVersionArn"], &made["Version"]), (&json!(arn), &json!(1)));
    let code = "import shared\ndef handler(event, context):\n    return shared.NAME\n";
    world.create("f", "python3.12", "handler.handler", &[("handler.py", 0o644, code)], json!({"Layers": [arn]})).await;
    assert_eq!(world.invoke("f", &json!({})).await, (None, json!("layer")));
    let found = world.call("GetFunctionConfiguration", json!({"FunctionName": "f"})).await.unwrap();
    assert_eq!(found["Layers"][0]["Arn"], arn);
    let listed = world.call("ListLayers", json!({"CompatibleRuntime": "python3.12"})).await.unwrap();
    assert_eq!(listed["Layers"][0]["LatestMatchingVersion"]["LayerVersionArn"], arn);
    assert!(
        world.call("ListLayers", json!({"CompatibleRuntime": "x"})).await.unwrap()["Layers"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    world.call("DeleteLayerVersion", json!({"LayerName": "lib", "VersionNumber": 1})).await.unwrap();
    world.functions.clear_up().await;
    assert_eq!(world.invoke("f", &json!({})).await, (None, json!("layer")), "who uses it keeps it");
    let update = json!({"FunctionName": "f", "Layers": [arn]});
    let (_, code, message) = fault(&world, "UpdateFunctionConfiguration", update).await;
    assert_eq!((&*code, message), ("InvalidParameterValueException", format!("Layer version {arn} does not exist.")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency_policies_tags_and_event_configurations() {
    let world = World::new().await;
    world.python("f", ECHO).await;
    let name = json!({"FunctionName": "f"});
    let put = |n: i64| json!({"FunctionName": "f", "ReservedConcurrentExecutions": n});
    assert_eq!(world.call("GetFunctionConcurrency", name.clone()).await.unwrap(), json!({}));
    world.call("PutFunctionConcurrency", put(900)).await.unwrap();
    let (_, code, message) = fault(&world, "PutFunctionConcurrency", put(901)).await;
    assert_eq!(code, "InvalidParameterValueException");
    assert!(message.ends_with("below its minimum value of [100]."), "{message}");
    let settings = world.call("GetAccountSettings", json!({})).await.unwrap();
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 100);
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 1);
    world.call("DeleteFunctionConcurrency", name.clone()).await.unwrap();

    let permission = json!({
        "FunctionName": "f", "StatementId": "s3", "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b",
    });
    let added = world.call("AddPermission", permission.clone()).await.unwrap();
    let statement: Value = serde_json::from_str(added["Statement"].as_str().unwrap()).unwrap();
    assert_eq!(
        statement,
        json!({
            "Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": ARN,
            "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}},
        })
    );
    assert_eq!(fault(&world, "AddPermission", permission).await.0, 409);
    let policy = world.call("GetPolicy", name.clone()).await.unwrap();
    assert!(policy["Policy"].as_str().unwrap().contains(r#""Id":"default""#));
    world.call("RemovePermission", json!({"FunctionName": "f", "StatementId": "s3"})).await.unwrap();
    assert_eq!(fault(&world, "GetPolicy", name.clone()).await.0, 404);

    world.call("TagResource", json!({"Resource": ARN, "Tags": {"a": "1", "b": "2"}})).await.unwrap();
    world.call("UntagResource", json!({"Resource": ARN, "TagKeys": ["a"]})).await.unwrap();
    assert_eq!(world.call("ListTags", json!({"Resource": ARN})).await.unwrap(), json!({"Tags": {"b": "2"}}));

    let missing = fault(&world, "GetFunctionEventInvokeConfig", name.clone()).await;
    assert_eq!((missing.0, &*missing.1), (404, "ResourceNotFoundException"));
    let config = json!({"FunctionName": "f", "MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60});
    world.call("PutFunctionEventInvokeConfig", config).await.unwrap();
    let update = json!({"FunctionName": "f", "MaximumRetryAttempts": 0});
    let shown = world.call("UpdateFunctionEventInvokeConfig", update).await.unwrap();
    assert_eq!((&shown["MaximumRetryAttempts"], &shown["MaximumEventAgeInSeconds"]), (&json!(0), &json!(60)));
    assert_eq!(shown["FunctionArn"], format!("{ARN}:$LATEST"));
    world.call("DeleteFunctionEventInvokeConfig", name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invoke_by_the_registry() {
    let world = World::new().await;
    world.python("f", ECHO).await;
    let input = json!({"FunctionName": "f", "Payload": STANDARD.encode(r#"{"a":1}"#), "LogType": "Tail"});
    let answer = world.call("Invoke", input).await.unwrap();
    assert_eq!((&answer["StatusCode"], &answer["ExecutedVersion"]), (&json!(200), &json!("$LATEST")));
    assert_eq!(STANDARD.decode(answer["Payload"].as_str().unwrap()).unwrap(), br#"{"a": 1}"#);
    let log = STANDARD.decode(answer["LogResult"].as_str().unwrap()).unwrap();
    let id = "11111111-2222-4333-8444-555555555555";
    assert!(String::from_utf8(log).unwrap().starts_with(&format!("START RequestId: {id} ")), "the caller's request id");
    let input = json!({"FunctionName": "f", "InvocationType": "Event"});
    assert_eq!(world.call("Invoke", input).await.unwrap(), json!({"StatusCode": 202}));
    let input = json!({"FunctionName": "f", "InvocationType": "Later"});
    assert_eq!(fault(&world, "Invoke", input).await.1, "ValidationException");
}
