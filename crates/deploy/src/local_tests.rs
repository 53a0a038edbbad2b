//! Templates of the file system, from their folders to their stacks.

use std::path::Path;
use std::sync::{Arc, Mutex};

use base::Scope;
use store::MemoryStore;

use crate::testing::{World, deployer};
use crate::{DeployError, LocalRequest, Progress};

const TEMPLATE: &str = "
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String}
Globals:
  Function: {Runtime: python3.12, Handler: handler.handler, CodeUri: src/}
Resources:
  One: {Type: AWS::Serverless::Function, Properties: {FunctionName: !Sub 'one-${Stage}'}}
  Two: {Type: AWS::Serverless::Function, Properties: {FunctionName: two, Timeout: 9}}
  Inline: {Type: AWS::Serverless::Function, Properties: {FunctionName: inline, InlineCode: 'x = 1'}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: machine
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {OneArn: !GetAtt One.Arn}
      Policies: [LambdaInvokePolicy: {FunctionName: !Ref One}]
Outputs:
  Arn: {Value: !Ref Machine}
";

fn write(dir: &Path) {
    std::fs::create_dir_all(dir.join("src")).unwrap();
    std::fs::write(dir.join("src/handler.py"), "def handler(event, context): return 1\n").unwrap();
    std::fs::write(
        dir.join("machine.asl.json"),
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${OneArn}", "End": true}}}"#,
    )
    .unwrap();
    std::fs::write(dir.join("template.yaml"), TEMPLATE).unwrap();
}

fn request(dir: &Path) -> LocalRequest {
    LocalRequest {
        template: dir.join("template.yaml"),
        stack_name: "local".into(),
        parameters: vec![("Stage".into(), "dev".into())],
        capabilities: vec!["CAPABILITY_IAM".into(), "CAPABILITY_AUTO_EXPAND".into()],
        tags: Vec::new(),
        scope: Scope::default(),
        endpoint: "http://127.0.0.1:4566".into(),
        principal: "arn:aws:iam::000000000000:root".into(),
        work_dir: dir.join(".stepwell"),
    }
}

#[tokio::test]
async fn a_folder_becomes_a_stack() {
    let world: Arc<World> = Arc::default();
    let deployer = deployer(Arc::new(MemoryStore::new()), &world, 1);
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let seen = Mutex::new(Vec::new());
    let progress = |p: Progress| {
        seen.lock().unwrap().push(match p {
            Progress::Event(e) => format!("{} {}", e.resource_status, e.logical_resource_id),
            Progress::Packaged { logical_id, .. } => format!("packaged {logical_id}"),
            Progress::Build { line, .. } => line,
            Progress::Notice(notice) => notice.to_string(),
        });
    };
    let deployed = deployer.deploy_local(&request(dir.path()), progress).await.unwrap();
    assert!(deployed.changed);
    assert_eq!(deployed.outputs["Arn"], "arn:aws:states:us-east-1:000000000000:stateMachine:machine");
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen[0], "packaged One", "functions of one folder share a package");
    assert!(!seen.contains(&"packaged Two".to_owned()) && seen.last().unwrap() == "CREATE_COMPLETE local", "{seen:?}");
    let thing = |kind: &str, name: &str| world.things.lock().unwrap()[&(kind.to_owned(), name.to_owned())].clone();
    let definition = thing("states", "machine")["definition"].as_str().unwrap().to_owned();
    assert!(
        definition.contains(r#""Resource": "arn:aws:lambda:us-east-1:000000000000:function:one-dev""#),
        "{definition}"
    );
    let code = thing("lambda", "one-dev")["Code"].clone();
    assert_eq!(
        (&code["S3Bucket"], &code),
        (&"stepwell-deploy-000000000000-us-east-1".into(), &thing("lambda", "two")["Code"])
    );
    assert!(thing("lambda", "inline")["Code"]["ZipFile"].is_string());

    // The same again changes nothing; changed code updates the functions in place.
    let again = deployer.deploy_local(&request(dir.path()), |_| {}).await.unwrap();
    assert!(!again.changed && again.outputs == deployed.outputs);
    std::fs::write(dir.path().join("src/handler.py"), "def handler(event, context): return 2\n").unwrap();
    world.take_calls();
    let mut keeps = request(dir.path());
    keeps.parameters.clear();
    assert!(deployer.deploy_local(&keeps, |_| {}).await.unwrap().changed);
    let calls: Vec<String> = world.take_calls().into_iter().filter(|c| c.starts_with("Update")).collect();
    assert_eq!(calls, ["UpdateFunctionCode one-dev", "UpdateFunctionCode two"]);

    deployer.delete(&Scope::default(), "local", |_| {}).await.unwrap();
    deployer.delete(&Scope::default(), "local", |_| {}).await.unwrap();
    let left = world.list();
    assert!(left.iter().all(|t| t.starts_with("object ") || t.starts_with("s3 stepwell-deploy-")), "{left:?}");
}

#[tokio::test]
async fn what_fails_says_where() {
    let world: Arc<World> = Arc::default();
    let deployer = deployer(Arc::new(MemoryStore::new()), &world, 1);
    let dir = tempfile::tempdir().unwrap();
    let request = request(dir.path());
    let missing = deployer.deploy_local(&request, |_| {}).await.unwrap_err();
    assert!(missing.to_string().contains("template.yaml"), "{missing}");
    write(dir.path());
    std::fs::remove_file(dir.path().join("machine.asl.json")).unwrap();
    let error = deployer.deploy_local(&request, |_| {}).await.unwrap_err();
    let DeployError::Template { found, .. } = &error else { panic!("{error}") };
    assert_eq!((found.first().at.line, found.first().logical_id.as_deref()), (15, Some("Machine")));
    write(dir.path());
    // A failed creation names what failed; the next attempt begins anew.
    world.break_on("CreateStateMachine", "");
    let error = deployer.deploy_local(&request, |_| {}).await.unwrap_err();
    let DeployError::Failed { status, reasons, .. } = &error else { panic!("{error}") };
    assert_eq!(status, "ROLLBACK_COMPLETE");
    assert!(reasons[0].starts_with("Machine (AWS::StepFunctions::StateMachine): "), "{reasons:?}");
    world.mend();
    assert!(deployer.deploy_local(&request, |_| {}).await.unwrap().changed);
}
