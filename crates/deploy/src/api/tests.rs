//! The operations as clients use them.

use std::sync::Arc;

use serde_json::{Value, json};
use service::Registry;
use store::MemoryStore;

use crate::testing::{World, call, deployer, plain};

struct Api {
    registry: Registry,
    world: Arc<World>,
}

fn api() -> Api {
    let world: Arc<World> = Arc::default();
    let mut registry = Registry::new();
    registry.add(deployer(Arc::new(MemoryStore::new()), &world, 1).service());
    Api { registry, world }
}

impl Api {
    async fn call(&self, operation: &str, input: Value) -> Result<Value, String> {
        let answer = self.registry.call_value("cloudformation", operation, call(), input).await;
        answer.map_err(|f| format!("{} {}: {}", f.status, f.query_code.unwrap_or(&f.code), f.message))
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.unwrap_or_else(|error| panic!("{operation}: {error}"))
    }
}

const QUEUE: &str = "
Description: one queue
Parameters:
  Environment: {Type: String, AllowedValues: [dev, prod], Description: where}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Metadata: {Owner: me}
    Properties: {QueueName: !Sub 'work-${Environment}', DelaySeconds: 1}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      Description: !GetAtt Queue.Arn
Outputs:
  Url: {Value: !Ref Queue}
";

/// What 'aws cloudformation deploy' sends.
fn change_set(kind: &str, environment: &str, template: &str) -> Value {
    json!({
        "ChangeSetName": format!("awscli-cloudformation-package-deploy-{kind}-{environment}"),
        "StackName": "q",
        "TemplateBody": template,
        "ChangeSetType": kind,
        "Parameters": [{"ParameterKey": "Environment", "ParameterValue": environment}],
        "Capabilities": ["CAPABILITY_IAM"],
        "Description": "Created by AWS CLI",
        "Tags": [],
    })
}

#[tokio::test]
async fn deploying_as_the_command_line_does() {
    let api = api();
    let missing = api.call("DescribeStacks", json!({"StackName": "q"})).await.unwrap_err();
    assert_eq!(missing, "400 ValidationError: Stack with id q does not exist");
    let made = api.ok("CreateChangeSet", change_set("CREATE", "dev", QUEUE)).await;
    let review = api.ok("DescribeStacks", json!({"StackName": "q"})).await;
    assert_eq!(review["Stacks"][0]["StackStatus"], "REVIEW_IN_PROGRESS");
    let described = api.ok("DescribeChangeSet", json!({"ChangeSetName": made["Id"]})).await;
    assert_eq!((&described["Status"], &described["ExecutionStatus"]), (&json!("CREATE_COMPLETE"), &json!("AVAILABLE")));
    assert_eq!(described["Changes"][0]["ResourceChange"]["Action"], "Add");
    assert!(api.world.list().is_empty());
    api.ok("ExecuteChangeSet", json!({"ChangeSetName": made["Id"], "StackName": "q", "DisableRollback": false})).await;
    let stack = api.ok("DescribeStacks", json!({"StackName": "q"})).await["Stacks"][0].clone();
    assert_eq!((&stack["StackStatus"], &stack["Description"]), (&json!("CREATE_COMPLETE"), &json!("one queue")));
    assert_eq!(stack["Outputs"][0]["OutputValue"], "http://127.0.0.1:4566/000000000000/work-dev");
    let executed = api.ok("DescribeChangeSet", json!({"ChangeSetName": made["Id"], "StackName": "q"})).await;
    assert_eq!(executed["ExecutionStatus"], "EXECUTE_COMPLETE");

    // Nothing to do is a failed change set with the text that the command line looks for.
    let summary = api.ok("GetTemplateSummary", json!({"StackName": "q"})).await;
    assert_eq!(summary["Parameters"][0]["ParameterKey"], "Environment");
    assert_eq!(summary["Parameters"][0]["ParameterConstraints"]["AllowedValues"], json!(["dev", "prod"]));
    assert_eq!(summary["Capabilities"], json!(["CAPABILITY_IAM"]));
    let same = api.ok("CreateChangeSet", change_set("UPDATE", "dev", QUEUE)).await;
    let described = api.ok("DescribeChangeSet", json!({"ChangeSetName": same["Id"]})).await;
    assert_eq!(described["Status"], "FAILED");
    assert!(
        described["StatusReason"].as_str().unwrap().starts_with("The submitted information didn't contain changes.")
    );
    let refused = api.call("ExecuteChangeSet", json!({"ChangeSetName": same["Id"]})).await.unwrap_err();
    assert!(refused.starts_with("400 InvalidChangeSetStatus: ChangeSet [arn:"), "{refused}");

    // A replacement shows, with what hangs on it.
    let update = api.ok("CreateChangeSet", change_set("UPDATE", "prod", QUEUE)).await;
    let changes = api.ok("DescribeChangeSet", json!({"ChangeSetName": update["Id"]})).await["Changes"].clone();
    let queue = &changes[0]["ResourceChange"];
    assert_eq!((&queue["Action"], &queue["Replacement"]), (&json!("Modify"), &json!("True")));
    assert_eq!(queue["Details"][0]["CausingEntity"], "Environment");
    let role = &changes[1]["ResourceChange"];
    assert_eq!((&role["LogicalResourceId"], &role["Replacement"]), (&json!("Role"), &json!("False")));
    assert_eq!(
        (&role["Details"][0]["Evaluation"], &role["Details"][0]["CausingEntity"]),
        (&json!("Dynamic"), &json!("Queue.Arn"))
    );
    assert_eq!(api.ok("ListChangeSets", json!({"StackName": "q"})).await["Summaries"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn change_sets_by_other_ways() {
    let api = api();
    let absent = api.call("CreateChangeSet", change_set("UPDATE", "dev", QUEUE)).await.unwrap_err();
    assert_eq!(absent, "400 ValidationError: Stack [q] does not exist");
    let mut uncapable = change_set("CREATE", "dev", QUEUE);
    uncapable["Capabilities"] = json!([]);
    let refused = api.call("CreateChangeSet", uncapable).await.unwrap_err();
    assert_eq!(refused, "400 InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_IAM]");
    let wrong = api.call("CreateChangeSet", change_set("CREATE", "test", QUEUE)).await.unwrap_err();
    assert!(wrong.contains("Parameter 'Environment' must be one of AllowedValues"), "{wrong}");
    assert!(api.call("DescribeStacks", json!({"StackName": "q"})).await.is_err(), "nothing is left of a refusal");

    let first = api.ok("CreateChangeSet", change_set("CREATE", "dev", QUEUE)).await;
    let again = api.call("CreateChangeSet", change_set("CREATE", "dev", QUEUE)).await.unwrap_err();
    assert!(again.starts_with("400 AlreadyExistsException: ChangeSet"), "{again}");
    api.ok("DeleteChangeSet", json!({"ChangeSetName": first["Id"]})).await;
    api.ok("DeleteChangeSet", json!({"ChangeSetName": first["Id"]})).await;
    let gone = api.call("DescribeChangeSet", json!({"ChangeSetName": first["Id"]})).await.unwrap_err();
    assert!(gone.starts_with("404 ChangeSetNotFound: ChangeSet [arn:"), "{gone}");
    let second = api.ok("CreateChangeSet", change_set("CREATE", "prod", QUEUE)).await;
    assert_eq!(first["StackId"], second["StackId"], "the stack under review is the same");
    api.ok("ExecuteChangeSet", json!({"ChangeSetName": second["Id"]})).await;
    // One that was made for the template before is obsolete.
    let stale = api.ok("CreateChangeSet", change_set("UPDATE", "dev", QUEUE)).await;
    let template = QUEUE.replace("DelaySeconds: 1", "DelaySeconds: 2");
    api.ok(
        "UpdateStack",
        json!({
            "StackName": "q", "TemplateBody": template, "Capabilities": ["CAPABILITY_IAM"],
            "Parameters": [{"ParameterKey": "Environment", "UsePreviousValue": true}],
        }),
    )
    .await;
    let described = api.ok("DescribeChangeSet", json!({"ChangeSetName": stale["Id"]})).await;
    assert_eq!(described["ExecutionStatus"], "OBSOLETE");
}

#[tokio::test]
async fn what_is_described() {
    let api = api();
    let input = json!({
        "StackName": "q", "TemplateBody": QUEUE, "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [{"ParameterKey": "Environment", "ParameterValue": "dev"}],
        "EnableTerminationProtection": true,
        "Tags": [{"Key": "a", "Value": "b"}],
    });
    let id = api.ok("CreateStack", input).await["StackId"].clone();
    let protected = api.call("DeleteStack", json!({"StackName": "q"})).await.unwrap_err();
    assert_eq!(protected, "400 ValidationError: Stack [q] cannot be deleted while TerminationProtection is enabled");
    api.ok("UpdateTerminationProtection", json!({"StackName": "q", "EnableTerminationProtection": false})).await;

    let resource = api.ok("DescribeStackResource", json!({"StackName": "q", "LogicalResourceId": "Queue"})).await;
    let detail = &resource["StackResourceDetail"];
    assert_eq!(
        (&detail["ResourceStatus"], &detail["Metadata"]),
        (&json!("CREATE_COMPLETE"), &json!("{\"Owner\":\"me\"}"))
    );
    let url = &detail["PhysicalResourceId"];
    let by_physical = api.ok("DescribeStackResources", json!({"PhysicalResourceId": url})).await;
    assert_eq!(by_physical["StackResources"].as_array().unwrap().len(), 2);
    let one = api.ok("DescribeStackResources", json!({"StackName": "q", "LogicalResourceId": "Role"})).await;
    assert!(plain(one["StackResources"][0]["PhysicalResourceId"].as_str().unwrap()).starts_with("q-Role-*"));
    assert_eq!(api.ok("GetTemplate", json!({"StackName": id})).await["TemplateBody"], QUEUE);
    assert_eq!(api.ok("ListStacks", json!({})).await["StackSummaries"][0]["TemplateDescription"], "one queue");

    let validated = api.ok("ValidateTemplate", json!({"TemplateBody": QUEUE})).await;
    assert_eq!(
        validated["Parameters"][0],
        json!({"ParameterKey": "Environment", "NoEcho": false, "Description": "where"})
    );
    let invalid = api.call("ValidateTemplate", json!({"TemplateBody": "{\"Resources\": {}}"})).await.unwrap_err();
    assert_eq!(
        invalid,
        "400 ValidationError: Template format error: At least one Resources member must be defined. (line 1, column 15)"
    );
    let long = format!("#{}\n{QUEUE}", "x".repeat(51_200));
    let refused = api.call("ValidateTemplate", json!({"TemplateBody": long})).await.unwrap_err();
    assert!(refused.contains("length less than or equal to 51200"), "{refused}");
    // A larger one comes from S3.
    api.world.things.lock().unwrap().insert(("object".into(), "b/t.yaml".into()), long.into());
    api.ok("ValidateTemplate", json!({"TemplateURL": "http://127.0.0.1:4566/b/t.yaml"})).await;
    let nowhere = api.call("ValidateTemplate", json!({"TemplateURL": "http://127.0.0.1:4566/b/no"})).await.unwrap_err();
    assert!(nowhere.contains("NoSuchKey"), "{nowhere}");

    api.ok("DeleteStack", json!({"StackName": "q"})).await;
    let filter = json!({"StackStatusFilter": ["DELETE_COMPLETE"]});
    assert_eq!(api.ok("ListStacks", filter).await["StackSummaries"][0]["StackId"], id);
    assert_eq!(api.ok("DescribeStacks", json!({})).await["Stacks"], json!([]));
}

#[tokio::test]
async fn a_processed_template_is_what_sam_made_of_it() {
    let api = api();
    let template = "
Transform: AWS::Serverless-2016-10-31
Resources:
  T: {Type: AWS::Serverless::StateMachine, Properties: {Definition: {StartAt: A}, Role: arn:aws:iam::1:role/r}}
";
    let refused = api.call("CreateStack", json!({"StackName": "q", "TemplateBody": template})).await.unwrap_err();
    assert_eq!(refused, "400 InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_AUTO_EXPAND]");
    // A change set shows what the transform makes, so it needs no such word.
    let input = json!({"StackName": "q", "ChangeSetName": "c", "ChangeSetType": "CREATE", "TemplateBody": template});
    api.ok("CreateChangeSet", input).await;
    api.ok("ExecuteChangeSet", json!({"ChangeSetName": "c", "StackName": "q"})).await;
    let processed = api.ok("GetTemplate", json!({"StackName": "q", "TemplateStage": "Processed"})).await;
    let processed: Value = serde_json::from_str(processed["TemplateBody"].as_str().unwrap()).unwrap();
    assert_eq!(processed["Resources"]["T"]["Type"], "AWS::StepFunctions::StateMachine");
    assert_eq!(processed.get("Transform"), None);
}
