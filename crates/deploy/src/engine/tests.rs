//! Stack operations against a small world, with stops at every commit.

use std::sync::Arc;

use serde_json::{Value, json};
use service::Registry;
use store::{MemoryStore, Store};

use crate::Deployer;
use crate::testing::{StoppingStore, World, call, deployer, plain};

/// A deployer with its operations in a registry of its own.
struct Setup {
    world: Arc<World>,
    deployer: Deployer,
    api: Registry,
}

fn setup_on(store: Arc<dyn Store>, world: &Arc<World>, seed: u64) -> Setup {
    let deployer = deployer(store, world, seed);
    let mut api = Registry::new();
    api.add(deployer.service());
    Setup { world: world.clone(), deployer, api }
}

fn setup() -> Setup {
    setup_on(Arc::new(MemoryStore::new()), &Arc::default(), 1)
}

impl Setup {
    async fn call(&self, operation: &str, input: Value) -> Result<Value, String> {
        let answer = self.api.call_value("cloudformation", operation, call(), input).await;
        answer.map_err(|fault| format!("{}: {}", fault.code, fault.message))
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        match self.call(operation, input).await {
            Ok(answer) => answer,
            Err(error) => panic!("{operation}: {error}"),
        }
    }

    async fn create(&self, template: &str) -> Value {
        self.ok("CreateStack", stack(template)).await
    }

    async fn stack(&self) -> Value {
        self.ok("DescribeStacks", json!({"StackName": "s"})).await["Stacks"][0].clone()
    }

    async fn status(&self) -> String {
        match self.call("DescribeStacks", json!({"StackName": "s"})).await {
            Ok(answer) => answer["Stacks"][0]["StackStatus"].as_str().unwrap().to_owned(),
            Err(error) => error,
        }
    }

    /// `status logical-id` of every event, oldest first.
    async fn events(&self, name_or_id: &str) -> Vec<String> {
        let answer = self.ok("DescribeStackEvents", json!({"StackName": name_or_id})).await;
        let mut events: Vec<String> = answer["StackEvents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| format!("{} {}", e["ResourceStatus"].as_str().unwrap(), e["LogicalResourceId"].as_str().unwrap()))
            .collect();
        events.reverse();
        events
    }
}

fn stack(template: &str) -> Value {
    json!({"StackName": "s", "TemplateBody": template, "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]})
}

const QUEUES: &str = "
Parameters:
  Delay: {Type: Number, Default: 1}
  Size: {Type: String, Default: ''}
Conditions:
  Sized: !Not [!Equals [!Ref Size, '']]
Resources:
  Work:
    Type: AWS::SQS::Queue
    Properties:
      DelaySeconds: !Ref Delay
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}
  Dead: {Type: AWS::SQS::Queue}
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !If [Sized, !Sub 'logs-${Size}', logs], RetentionInDays: 7}
Outputs:
  Url: {Value: !Ref Work, Export: {Name: work-url}}
  Name: {Value: !GetAtt Work.QueueName}
";

#[tokio::test]
async fn a_stack_from_its_creation_to_its_end() {
    let s = setup();
    let id = s.create(QUEUES).await["StackId"].as_str().unwrap().to_owned();
    assert_eq!(s.status().await, "CREATE_COMPLETE");
    assert_eq!(s.world.list(), ["logs logs", "sqs s-Dead-*", "sqs s-Work-*"]);
    let shown = s.stack().await;
    let url = shown["Outputs"][0]["OutputValue"].as_str().unwrap();
    assert!(plain(url).ends_with("/s-Work-*"), "{url}");
    assert_eq!(shown["Outputs"][0]["ExportName"], "work-url");
    assert_eq!(
        s.events("s").await,
        [
            "CREATE_IN_PROGRESS s",
            "CREATE_IN_PROGRESS Dead",
            "CREATE_IN_PROGRESS Dead",
            "CREATE_COMPLETE Dead",
            "CREATE_IN_PROGRESS Work",
            "CREATE_IN_PROGRESS Work",
            "CREATE_COMPLETE Work",
            "CREATE_IN_PROGRESS Logs",
            "CREATE_IN_PROGRESS Logs",
            "CREATE_COMPLETE Logs",
            "CREATE_COMPLETE s",
        ]
    );
    assert_eq!(
        s.world.take_calls(),
        ["CreateQueue s-Dead-*", "CreateQueue s-Work-*", "CreateLogGroup logs", "PutRetentionPolicy logs"]
    );

    // The same again is no update.
    let same = s.call("UpdateStack", stack(QUEUES)).await.unwrap_err();
    assert_eq!(same, "ValidationError: No updates are to be performed.");
    let exists = s.call("CreateStack", stack(QUEUES)).await.unwrap_err();
    assert_eq!(exists, "AlreadyExistsException: Stack [s] already exists");

    // In place.
    let mut update = stack(QUEUES);
    update["Parameters"] = json!([{"ParameterKey": "Delay", "ParameterValue": "5"}]);
    s.ok("UpdateStack", update).await;
    assert_eq!(s.status().await, "UPDATE_COMPLETE");
    assert_eq!(s.world.take_calls(), ["SetQueueAttributes s-Work-*"]);

    // A replacement: the new one first, the old one in the clean-up.
    let mut update = stack(QUEUES);
    update["Parameters"] = json!([
        {"ParameterKey": "Delay", "UsePreviousValue": true},
        {"ParameterKey": "Size", "ParameterValue": "xl"},
    ]);
    s.ok("UpdateStack", update).await;
    assert_eq!(s.status().await, "UPDATE_COMPLETE");
    assert_eq!(s.world.take_calls(), ["CreateLogGroup logs-xl", "PutRetentionPolicy logs-xl", "DeleteLogGroup logs"]);

    s.ok("DeleteStack", json!({"StackName": "s"})).await;
    assert_eq!(s.status().await, "ValidationError: Stack with id s does not exist");
    assert_eq!(s.world.take_calls(), ["DeleteLogGroup logs-xl", "DeleteQueue s-Work-*", "DeleteQueue s-Dead-*"]);
    assert!(s.world.list().is_empty());
    let by_id = s.ok("DescribeStacks", json!({"StackName": id})).await;
    assert_eq!(by_id["Stacks"][0]["StackStatus"], "DELETE_COMPLETE");
    s.ok("DeleteStack", json!({"StackName": "s"})).await;
    s.create(QUEUES).await;
    assert_eq!(s.status().await, "CREATE_COMPLETE");
}

#[tokio::test]
async fn a_failed_creation_is_rolled_back() {
    let s = setup();
    s.world.break_on("PutRetentionPolicy", "logs");
    s.create(QUEUES).await;
    assert_eq!(s.status().await, "ROLLBACK_COMPLETE");
    assert!(s.world.list().is_empty(), "{:?}", s.world.list());
    let events = s.events("s").await;
    assert!(events.ends_with(&[
        "CREATE_FAILED Logs".to_owned(),
        "ROLLBACK_IN_PROGRESS s".into(),
        "DELETE_IN_PROGRESS Logs".into(),
        "DELETE_COMPLETE Logs".into(),
        "DELETE_IN_PROGRESS Work".into(),
        "DELETE_COMPLETE Work".into(),
        "DELETE_IN_PROGRESS Dead".into(),
        "DELETE_COMPLETE Dead".into(),
        "ROLLBACK_COMPLETE s".into(),
    ]));
    let answer = s.ok("DescribeStackEvents", json!({"StackName": "s"})).await;
    let failed = answer["StackEvents"].as_array().unwrap().iter().find(|e| e["ResourceStatus"] == "CREATE_FAILED");
    assert_eq!(
        failed.unwrap()["ResourceStatusReason"],
        "Resource handler returned message: \"PutRetentionPolicy is broken\" (Service: logs, Operation: \
         PutRetentionPolicy, Status Code: 400, Error Code: InvalidParameterValue)"
    );
    let update = s.call("UpdateStack", stack(QUEUES)).await.unwrap_err();
    assert!(update.contains("is in ROLLBACK_COMPLETE state and can not be updated."), "{update}");
    s.ok("DeleteStack", json!({"StackName": "s"})).await;
    s.world.mend();
    s.create(QUEUES).await;
    assert_eq!(s.status().await, "CREATE_COMPLETE");
}

#[tokio::test]
async fn a_failed_update_leads_back() {
    let s = setup();
    s.create(QUEUES).await;
    let before = s.world.list();
    s.world.take_calls();
    // Work changes in place, Logs is replaced, Extra is new, Last fails.
    let changed = QUEUES
        .replace("Dead: {Type: AWS::SQS::Queue}", "Dead: {Type: AWS::SQS::Queue}\n  Extra: {Type: AWS::SQS::Queue}")
        .replace("LogGroupName: !If [Sized, !Sub 'logs-${Size}', logs]", "LogGroupName: other")
        .replace(
            "Outputs:",
            "  Last: {Type: AWS::SQS::Queue, DependsOn: [Logs, Extra, Work], Properties: {QueueName: last}}\nOutputs:",
        )
        .replace("Default: 1}", "Default: 9}");
    s.world.break_on("CreateQueue", "last");
    s.ok("UpdateStack", stack(&changed)).await;
    assert_eq!(s.status().await, "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(s.world.list(), before);
    assert_eq!(
        s.world.take_calls(),
        [
            "SetQueueAttributes s-Work-*",
            "CreateQueue s-Extra-*",
            "CreateLogGroup other",
            "PutRetentionPolicy other",
            "CreateQueue last",
            "SetQueueAttributes s-Work-*",
            "DeleteLogGroup other",
            "DeleteQueue s-Extra-*",
        ]
    );
    // What is described is what is there, and an update may follow.
    let parameters = s.stack().await["Parameters"].clone();
    assert_eq!(parameters[0]["ParameterValue"], "1");
    let resources = s.ok("ListStackResources", json!({"StackName": "s"})).await;
    let ids: Vec<&str> = resources["StackResourceSummaries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["LogicalResourceId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["Dead", "Logs", "Work"]);
    s.world.mend();
    s.ok("UpdateStack", stack(&changed)).await;
    assert_eq!(s.status().await, "UPDATE_COMPLETE");
    assert_eq!(s.world.list(), ["logs other", "sqs last", "sqs s-Dead-*", "sqs s-Extra-*", "sqs s-Work-*"]);
}

#[tokio::test]
async fn without_rollback_what_failed_stays_and_is_mended_by_an_update() {
    let s = setup();
    s.world.break_on("PutRetentionPolicy", "logs");
    let mut input = stack(QUEUES);
    input["DisableRollback"] = true.into();
    s.ok("CreateStack", input).await;
    assert_eq!(s.status().await, "CREATE_FAILED");
    assert_eq!(s.world.list().len(), 3);
    s.world.mend();
    s.world.take_calls();
    s.ok("UpdateStack", stack(QUEUES)).await;
    assert_eq!(s.status().await, "UPDATE_COMPLETE");
    assert_eq!(s.world.take_calls(), ["DeleteLogGroup logs", "CreateLogGroup logs", "PutRetentionPolicy logs"]);
}

#[tokio::test]
async fn what_is_there_already_is_not_taken_over() {
    let s = setup();
    let foreign = ("sqs".to_owned(), "mine".to_owned());
    s.world.things.lock().unwrap().insert(foreign, json!({}));
    s.create("Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: mine}}}").await;
    assert_eq!(s.status().await, "ROLLBACK_COMPLETE");
    assert_eq!(s.world.list(), ["sqs mine"]);
    let events = s.ok("DescribeStackEvents", json!({"StackName": "s"})).await.to_string();
    let reason = "Resource of type 'AWS::SQS::Queue' with identifier 'mine' already exists.";
    assert!(events.contains(reason), "{events}");
}

#[tokio::test]
async fn policies_say_what_stays() {
    let template = "
Resources:
  Kept: {Type: AWS::SQS::Queue, DeletionPolicy: Retain, Properties: {QueueName: kept}}
  KeptName: {Type: AWS::Logs::LogGroup, UpdateReplacePolicy: Retain, Properties: {LogGroupName: one}}
  Gone: {Type: AWS::SQS::Queue, Properties: {QueueName: gone}}
";
    let s = setup();
    s.create(template).await;
    s.ok("UpdateStack", stack(&template.replace("LogGroupName: one", "LogGroupName: two"))).await;
    assert_eq!(s.world.list(), ["logs one", "logs two", "sqs gone", "sqs kept"]);
    let without: String = template.lines().filter(|l| !l.contains("kept")).map(|l| format!("{l}\n")).collect();
    s.ok("UpdateStack", stack(&without.replace("LogGroupName: one", "LogGroupName: two"))).await;
    assert!(s.events("s").await.contains(&"DELETE_SKIPPED Kept".to_owned()));
    s.ok("DeleteStack", json!({"StackName": "s"})).await;
    assert_eq!(s.world.list(), ["logs one", "sqs kept"]);
    // A bucket with objects is not deleted, as in AWS; it can be left behind.
    let bucket = "Resources: {B: {Type: AWS::S3::Bucket, Properties: {BucketName: full}}}";
    s.create(bucket).await;
    s.world.things.lock().unwrap().insert(("object".into(), "full/a".into()), json!(""));
    s.ok("DeleteStack", json!({"StackName": "s"})).await;
    assert_eq!(s.status().await, "DELETE_FAILED");
    s.ok("DeleteStack", json!({"StackName": "s", "RetainResources": ["B"]})).await;
    assert!(s.status().await.contains("does not exist"));
}

#[tokio::test]
async fn exports_are_for_others_and_hold_their_stack() {
    let s = setup();
    s.create(QUEUES).await;
    let user = "Resources: {L: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Select [4, !Split ['/', !ImportValue work-url]]}}}";
    let mut input = stack(user);
    input["StackName"] = "user".into();
    s.ok("CreateStack", input.clone()).await;
    assert!(s.world.list().contains(&"logs s-Work-*".to_owned()), "{:?}", s.world.list());
    let exports = s.ok("ListExports", json!({})).await;
    assert_eq!(exports["Exports"][0]["Name"], "work-url");
    assert_eq!(s.ok("ListImports", json!({"ExportName": "work-url"})).await["Imports"], json!(["user"]));
    let refused = s.call("DeleteStack", json!({"StackName": "s"})).await.unwrap_err();
    assert_eq!(refused, "ValidationError: Export work-url cannot be deleted as it is in use by user");
    // An update that would take it away rolls back.
    s.ok("UpdateStack", stack(&QUEUES.replace("work-url", "other-url"))).await;
    assert_eq!(s.status().await, "UPDATE_ROLLBACK_COMPLETE");
    // A name is exported once.
    input["StackName"] = "thief".into();
    input["TemplateBody"] =
        "{Resources: {Q: {Type: AWS::SQS::Queue}}, Outputs: {O: {Value: x, Export: {Name: work-url}}}}".into();
    s.ok("CreateStack", input.clone()).await;
    let thief = s.ok("DescribeStacks", json!({"StackName": "thief"})).await;
    assert_eq!(thief["Stacks"][0]["StackStatus"], "ROLLBACK_COMPLETE");
    let events = s.ok("DescribeStackEvents", json!({"StackName": "thief"})).await.to_string();
    assert!(events.contains("Export with name work-url is already exported by stack s"), "{events}");
    // A missing import is found before anything is made.
    input["StackName"] = "late".into();
    input["TemplateBody"] = user.replace("work-url", "nope").into();
    let missing = s.call("CreateStack", input).await.unwrap_err();
    assert!(missing.starts_with("ValidationError: No export named nope found"), "{missing}");
    s.ok("DeleteStack", json!({"StackName": "user"})).await;
    s.ok("DeleteStack", json!({"StackName": "s"})).await;
    assert!(s.world.list().is_empty(), "{:?}", s.world.list());
}

#[tokio::test]
async fn what_is_wrong_is_found_before_anything_is_made() {
    let s = setup();
    let table: &[(&str, &str)] = &[
        ("Resources: {A: {Type: AWS::EC2::Instance}}", "Unrecognized resource types: [AWS::EC2::Instance]"),
        (
            "Resources: {A: {Type: AWS::CloudFormation::Stack}}",
            "Unrecognized resource types: [AWS::CloudFormation::Stack]",
        ),
        ("Resources: {A: {Type: AWS::RDS::DBCluster, Properties: {Engine: x}}}", "it needs rds:CreateDBCluster"),
        (
            "Resources: {A: {Type: AWS::SQS::Queue, Properties: {DelaySecond: 1}}}",
            "#: extraneous key [DelaySecond] is not permitted; did you mean DelaySeconds?",
        ),
        (
            "Resources: {A: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: x}}}",
            "#/DelaySeconds: expected type: Integer, found: a string",
        ),
        ("Resources: {A: {Type: AWS::IAM::Role}}", "Requires capabilities : [CAPABILITY_IAM]"),
        (
            "Resources: {A: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [a]}}}",
            "required key [PolicyDocument] not found",
        ),
        (
            "Resources: {A: {Type: AWS::SQS::Queue}, B: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt A.Nope}}}",
            "resource A does not support attribute type Nope in Fn::GetAtt",
        ),
        (
            "Parameters: {P: {Type: String}}\nResources: {A: {Type: AWS::SQS::Queue}}",
            "Parameters: [P] must have values",
        ),
        (
            "Parameters: {P: {Type: 'AWS::SSM::Parameter::Value<String>', Default: x}}\nResources: {A: {Type: AWS::SQS::Queue}}",
            "it needs ssm:GetParameter",
        ),
    ];
    for (template, expected) in table {
        let error = s.call("CreateStack", json!({"StackName": "s", "TemplateBody": template})).await.unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
    let named = "Resources: {A: {Type: AWS::IAM::Role, Properties: {RoleName: r, AssumeRolePolicyDocument: {}}}}";
    let input = json!({"StackName": "s", "TemplateBody": named, "Capabilities": ["CAPABILITY_IAM"]});
    let error = s.call("CreateStack", input).await.unwrap_err();
    assert_eq!(error, "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]");
    let error = s.call("CreateStack", json!({"StackName": "1s", "TemplateBody": QUEUES})).await.unwrap_err();
    assert!(error.contains("regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"), "{error}");
    s.create(QUEUES).await;
    let error = s
        .call(
            "UpdateStack",
            stack(&QUEUES.replace("Dead: {Type: AWS::SQS::Queue}", "Dead: {Type: AWS::Logs::LogGroup}")),
        )
        .await;
    assert!(error.unwrap_err().contains("Update of resource type is not permitted"));
    assert_eq!(s.world.list().len(), 3);
}

#[tokio::test]
async fn secrets_are_resolved_for_the_call_alone() {
    let template = "
Parameters: {Key: {Type: String, NoEcho: true}}
Resources:
  Q:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: q
      Tags: [{Key: a, Value: '{{resolve:secretsmanager:db:SecretString:password}}'}, {Key: b, Value: !Ref Key}]
";
    let s = setup();
    let mut input = stack(template);
    input["Parameters"] = json!([{"ParameterKey": "Key", "ParameterValue": "swordfish"}]);
    input["Tags"] = json!([{"Key": "team", "Value": "data"}]);
    s.ok("CreateStack", input).await;
    let made = s.world.things.lock().unwrap()[&("sqs".to_owned(), "q".to_owned())].clone();
    assert_eq!(made["tags"], json!({"a": "hunter2", "b": "swordfish", "team": "data"}));
    let events = s.ok("DescribeStackEvents", json!({"StackName": "s"})).await.to_string();
    assert!(!events.contains("hunter2") && !events.contains("swordfish"), "{events}");
    assert_eq!(s.stack().await["Parameters"][0]["ParameterValue"], "****");
}

/// One way of a stack: its operations, and what must be there in the end.
struct Way {
    name: &'static str,
    before: Option<&'static str>,
    operation: &'static str,
    template: String,
    broken: Option<(&'static str, &'static str)>,
    status: &'static str,
    left: &'static [&'static str],
}

fn ways() -> Vec<Way> {
    let replaced =
        QUEUES.replace("!If [Sized, !Sub 'logs-${Size}', logs]", "other").replace("Default: 1}", "Default: 2}");
    let failing = replaced.replace(
        "Outputs:",
        "  Last: {Type: AWS::SQS::Queue, DependsOn: [Logs, Work], Properties: {QueueName: last}}\nOutputs:",
    );
    let sam = "
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k, Events: {W: {Type: SQS, Properties: {Queue: !GetAtt Q.Arn}}}}
  Q: {Type: AWS::SQS::Queue}
  M:
    Type: AWS::Serverless::StateMachine
    Properties: {Definition: {StartAt: A}, Policies: [LambdaInvokePolicy: {FunctionName: !Ref F}]}
";
    const ALL: &[&str] = &["logs logs", "sqs s-Dead-*", "sqs s-Work-*"];
    let way = |name, before, operation, template: &str, broken, status, left| Way {
        name,
        before,
        operation,
        template: template.to_owned(),
        broken,
        status,
        left,
    };
    vec![
        way("create", None, "CreateStack", QUEUES, None, "CREATE_COMPLETE", ALL),
        way("create fails", None, "CreateStack", QUEUES, Some(("PutRetentionPolicy", "")), "ROLLBACK_COMPLETE", &[]),
        way(
            "sam",
            None,
            "CreateStack",
            sam,
            None,
            "CREATE_COMPLETE",
            &["iam s-FRole-*", "iam s-MRole-*", "lambda s-F-*", "mapping uuid-s-F-*", "sqs s-Q-*", "states s-M-*"],
        ),
        way(
            "update",
            Some(QUEUES),
            "UpdateStack",
            &replaced,
            None,
            "UPDATE_COMPLETE",
            &["logs other", "sqs s-Dead-*", "sqs s-Work-*"],
        ),
        way(
            "update fails",
            Some(QUEUES),
            "UpdateStack",
            &failing,
            Some(("CreateQueue", "last")),
            "UPDATE_ROLLBACK_COMPLETE",
            ALL,
        ),
        way(
            "delete",
            Some(QUEUES),
            "DeleteStack",
            QUEUES,
            None,
            "ValidationError: Stack with id s does not exist",
            &[],
        ),
    ]
}

/// Whatever the commit before which everything stops, the next start leads to the same end.
#[tokio::test]
async fn a_stop_at_any_commit_changes_nothing_in_the_end() {
    for way in ways() {
        for last_written in [false, true] {
            let mut commits = 0;
            while stop_and_go_on(&way, commits, last_written).await {
                commits += 1;
            }
            assert!(commits > 4, "{}: only {commits} commits", way.name);
        }
    }
}

/// Runs a way with a stop after so many commits; false when it ended before that.
async fn stop_and_go_on(way: &Way, commits: i64, last_written: bool) -> bool {
    let world: Arc<World> = Arc::default();
    let memory = Arc::new(MemoryStore::new());
    if let Some(before) = way.before {
        setup_on(memory.clone(), &world, 1).create(before).await;
    }
    if let Some((operation, part)) = way.broken {
        world.break_on(operation, part);
    }
    let input = if way.operation == "DeleteStack" { json!({"StackName": "s"}) } else { stack(&way.template) };
    let stopping = Arc::new(StoppingStore::new(memory.clone(), commits, last_written));
    let stopped = stopping.stopped.clone();
    let first = setup_on(stopping, &world, 2);
    let ended = tokio::select! {
        answer = first.call(way.operation, input.clone()) => { answer.unwrap(); true }
        () = stopped.notified() => false,
    };
    let second = setup_on(memory.clone(), &world, 3);
    if !ended {
        let deployer = &second.deployer;
        let found = deployer.repository().find(&call().scope, "s").unwrap();
        match found {
            Some(stack) if stack.operation.is_some() => {
                let key = super::keys::StackKey::new(&call().scope, &stack.uuid);
                deployer.linger(&key, std::time::Duration::from_secs(60)).await.unwrap();
            }
            // Nothing was accepted before the stop, or all was done: the caller asks again.
            _ if second.status().await != way.status => drop(second.ok(way.operation, input).await),
            _ => {}
        }
    }
    let label = format!("{} after {commits} commits, last written: {last_written}", way.name);
    assert_eq!(second.status().await, way.status, "{label}");
    assert_eq!(world.list(), way.left, "{label}");
    // No marker, no effect, no resource of nobody stays in the store.
    let effects = store::Key::new("outbox").build();
    assert!(memory.scan(&store::Range::prefix(&effects)).unwrap().is_empty(), "{label}");
    assert!(memory.scan(&store::Range::prefix(&super::keys::all_running())).unwrap().is_empty(), "{label}");
    !ended
}
