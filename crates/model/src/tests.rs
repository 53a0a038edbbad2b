use serde_json::{Value, json};

use crate::{Naming, Template, actions, exception_class, service_class, services, shapes};

fn check(service: &str, operation: &str, parameters: &Value, template: Template) -> Vec<String> {
    shapes(service).unwrap().operation(operation).unwrap().check(Naming::Sdk, parameters, template, &[])
}

#[test]
fn every_file_is_read_and_belongs_to_a_service_that_aws_has() {
    for service in services() {
        assert!(actions(service).unwrap().all(|action| action.starts_with(|c: char| c.is_ascii_lowercase())));
        if let Some(shapes) = shapes(service) {
            let count = actions(service).unwrap().filter(|action| shapes.operation(&capital(action)).is_some()).count();
            assert!(count > 0, "{service}");
        }
    }
    assert!(services().count() > 400 && actions("nosuchservice").is_none());
    assert!(actions("sqs").unwrap().any(|action| action == "sendMessage"));
}

fn capital(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

#[test]
fn classes_are_called_as_in_the_java_sdk() {
    let classes = [
        ("secretsmanager", "SecretsManager"),
        ("dynamodb", "DynamoDb"),
        ("cloudwatchlogs", "CloudWatchLogs"),
        ("rdsdata", "RdsData"),
        ("sfn", "Sfn"),
        ("eventbridge", "EventBridge"),
        ("ec2", "Ec2"),
        ("s3", "S3"),
        ("sesv2", "SesV2"),
        ("apigatewayv2", "ApiGatewayV2"),
        ("iot", "Iot"),
        ("resourcegroupstaggingapi", "ResourceGroupsTaggingApi"),
    ];
    for (service, class) in classes {
        assert_eq!(service_class(service).as_deref(), Some(class));
    }
    let exceptions = [
        ("NoSuchKey", "NoSuchKeyException"),
        ("ResourceNotFoundException", "ResourceNotFoundException"),
        ("DBClusterNotFoundFault", "DbClusterNotFoundException"),
        ("KMSDisabledException", "KmsDisabledException"),
    ];
    for (shape, class) in exceptions {
        assert_eq!(exception_class(shape), class);
    }
}

#[test]
fn errors_that_a_model_does_not_declare_have_no_class_of_their_own() {
    let class = |service: &str, code: &str| shapes(service).unwrap().exception(code);
    assert_eq!(class("s3", "NoSuchBucket").as_deref(), Some("NoSuchBucketException"));
    assert_eq!(class("sqs", "QueueDoesNotExist").as_deref(), Some("QueueDoesNotExistException"));
    assert_eq!(class("iam", "NoSuchEntity").as_deref(), Some("NoSuchEntityException"));
    assert_eq!(class("sqs", "MissingParameter"), None);
    assert_eq!(class("dynamodb", "ValidationException"), None);
}

/// What AWS answers to ValidateStateMachineDefinition.
#[test]
fn parameters_are_refused_in_the_words_of_aws() {
    let put = |more: Value| {
        let mut parameters = json!({"Bucket": "b", "Key": "k", "Body": "text"});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check("s3", "PutObject", &parameters, Template::JsonPath)
    };
    let send = |more: Value| {
        let mut parameters = json!({"QueueUrl": "x", "MessageBody": "text"});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check("sqs", "SendMessage", &parameters, Template::JsonPath)
    };
    let list =
        |flag: Value| check("s3", "ListObjectsV2", &json!({"Bucket": "b", "FetchOwner": flag}), Template::JsonPath);
    let none: [&str; 0] = [];
    let missing = check("s3", "PutObject", &json!({"bucket": "b", "Key": "k"}), Template::JsonPath);
    assert!(missing.contains(&"The field 'Bucket' is required but was missing".to_owned()), "{missing:?}");
    assert!(missing.contains(&"The field 'Body' is required but was missing".to_owned()), "{missing:?}");
    assert_eq!(missing.len(), 2);
    assert_eq!(
        put(json!({"contentType": "text/plain"})),
        ["The field \"contentType\" is not supported by Step Functions. Did you mean 'ContentType'?"]
    );
    assert_eq!(
        put(json!({"Bogus": true})),
        ["The field \"Bogus\" is not supported by Step Functions. Did you mean 'Bucket'?"]
    );
    assert_eq!(put(json!({"Metadata": {"key": "value"}})), none);
    assert_eq!(put(json!({"Bucket": 123})), ["The value for the field 'Bucket' must be a STRING"]);
    assert_eq!(put(json!({"NoSuchField.$": "$.x"})), none);
    assert_eq!(send(json!({"MessageAttributes": {"lower-case": {"StringValue": "text"}}})), none);
    assert_eq!(
        send(json!({"MessageAttributes": {"k": {"DataType": "String", "Bogus": "text"}}})),
        ["The field \"Bogus\" is not supported by Step Functions"]
    );
    assert_eq!(send(json!({"DelaySeconds": "2"})), ["The value for the field 'DelaySeconds' must be an INTEGER"]);
    assert_eq!(send(json!({"DelaySeconds": 2.0})), ["The value for the field 'DelaySeconds' must be an INTEGER"]);
    assert_eq!(send(json!({"DelaySeconds": 2, "QueueUrl": null})), none);
    for good in [json!(true), json!(0), json!(-1), json!(" TRUE "), json!(""), json!("null")] {
        assert_eq!(list(good), none);
    }
    assert_eq!(
        list(json!("TrUe")),
        [
            "Cannot deserialize value of type `java.lang.Boolean` from String \"TrUe\": only \"true\" or \"false\" recognized"
        ]
    );
    assert_eq!(
        list(json!(1.0)),
        [
            "Cannot deserialize value of type `java.lang.Boolean` from Floating-point value (token `JsonToken.VALUE_NUMBER_FLOAT`)"
        ]
    );
}

#[test]
fn what_is_computed_later_is_not_checked_before() {
    let none: [&str; 0] = [];
    let parameters = json!({"Bucket.$": "$.bucket", "Key": "k", "Body": "text"});
    assert_eq!(check("s3", "PutObject", &parameters, Template::JsonPath), none);
    let parameters = json!({"Bucket": "{% $bucket %}", "Key": "k", "Body": {}, "Expires": "{% $now() %}", "ACL": 1});
    let found = check("s3", "PutObject", &parameters, Template::Jsonata);
    assert_eq!(found, ["The value for the field 'ACL' must be a STRING"]);
}

#[test]
fn members_are_renamed_and_a_users_keys_are_not() {
    let dynamodb = shapes("dynamodb").unwrap().operation("PutItem").unwrap();
    let parameters = json!({"TableName": "t", "Item": {"ss": {"Ss": ["a"]}, "Nul": {"Nul": true}, "b": {"Bool": "true"},
        "m": {"M": {"DBInstance": {"S": "x", "N": null}}}}, "ConditionExpression": null});
    let input = dynamodb.input(Naming::Sdk, parameters);
    assert_eq!(
        input,
        json!({"TableName": "t", "Item": {"ss": {"SS": ["a"]}, "Nul": {"NULL": true}, "b": {"BOOL": true},
            "m": {"M": {"DBInstance": {"S": "x"}}}}})
    );
    let output = json!({"Attributes": {"a": {"NULL": true}, "SS": {"SS": ["x"]}}});
    assert_eq!(
        dynamodb.result(Naming::Sdk, output.clone()),
        json!({"Attributes": {"a": {"Nul": true}, "SS": {"Ss": ["x"]}}})
    );
    assert_eq!(dynamodb.result(Naming::Capital, output.clone()), output);
    let receive = shapes("sqs").unwrap().operation("ReceiveMessage").unwrap();
    assert_eq!(
        receive.result(Naming::Sdk, json!({"Messages": [{"MessageId": "i", "MD5OfBody": "m"}]})).to_string(),
        r#"{"Messages":[{"Md5OfBody":"m","MessageId":"i"}]}"#
    );
}

#[test]
fn bodies_and_times() {
    let put = shapes("s3").unwrap().operation("PutObject").unwrap();
    let body = |value: Value| put.input(Naming::Sdk, json!({"Body": value}))["Body"].clone();
    // The text of an object's body is its JSON, quotes and all.
    assert_eq!(body(json!("hello")), "\"hello\"");
    assert_eq!(body(json!({"a": 1})), "{\"a\":1}");
    assert_eq!(body(json!(null)), json!(null));
    let get = shapes("s3").unwrap().operation("GetObject").unwrap();
    let output = json!({"Body": "hi", "ETag": "\"e\"", "LastModified": 1_700_000_000, "AcceptRanges": "bytes"});
    assert_eq!(
        get.result(Naming::Sdk, output).to_string(),
        r#"{"AcceptRanges":"bytes","ETag":"\"e\"","LastModified":"2023-11-14T22:13:20Z","Body":"hi"}"#
    );
    let invoke = shapes("lambda").unwrap().operation("Invoke").unwrap();
    assert_eq!(invoke.input(Naming::Sdk, json!({"Payload": {"a": 1}}))["Payload"], "eyJhIjoxfQ==");
    assert_eq!(invoke.input(Naming::Sdk, json!({"Payload": "{\"a\":1}"}))["Payload"], "eyJhIjoxfQ==");
    let describe = shapes("sfn").unwrap().operation("DescribeExecution").unwrap();
    let output = json!({"executionArn": "a", "startDate": 1_700_000_000.25});
    assert_eq!(
        describe.result(Naming::Sdk, output.clone()),
        json!({"ExecutionArn": "a", "StartDate": "2023-11-14T22:13:20.250Z"})
    );
    assert_eq!(describe.result(Naming::Capital, output)["StartDate"], 1_700_000_000_250_i64);
    let list = shapes("sfn").unwrap().operation("ListExecutions").unwrap();
    assert_eq!(list.input(Naming::Sdk, json!({"MaxResults": 3})), json!({"maxResults": 3}));
    let events = shapes("cloudwatchlogs").unwrap().operation("CreateLogGroup").unwrap();
    let input = events.input(Naming::Sdk, json!({"LogGroupName": "g", "Tags": {"MyKey": "v"}}));
    assert_eq!(input, json!({"logGroupName": "g", "tags": {"MyKey": "v"}}));
}
