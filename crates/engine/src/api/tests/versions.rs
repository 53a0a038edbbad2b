use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::testing::{World, fresh, fresh_at};

const ROLE: &str = "arn:aws:iam::000000000000:role/r";
const NO_REFERENCE: &str = "Request references a resource that does not exist.";

fn pass(result: i64) -> String {
    json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": result, "End": true}}}).to_string()
}

async fn create(w: &World, name: &str, more: Value) -> Value {
    let mut input = json!({"name": name, "definition": pass(0), "roleArn": ROLE});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    w.call("CreateStateMachine", input).await.unwrap()
}

async fn update(w: &World, machine: &str, result: i64, publish: bool) -> Value {
    let input = json!({"stateMachineArn": machine, "definition": pass(result), "publish": publish});
    w.call("UpdateStateMachine", input).await.unwrap()
}

async fn versions(w: &World, machine: &str) -> Vec<String> {
    let listed = w.call("ListStateMachineVersions", json!({"stateMachineArn": machine})).await.unwrap();
    let arn = |v: &Value| v["stateMachineVersionArn"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    listed["stateMachineVersions"].as_array().unwrap().iter().map(arn).collect()
}

async fn publish(w: &World, input: Value) -> Result<Value, (String, String)> {
    let answer = w.call("PublishStateMachineVersion", input).await;
    answer.map(|a| a["stateMachineVersionArn"].clone()).map_err(|f| (f.code, f.message))
}

#[tokio::test]
async fn a_version_is_made_of_each_revision_once() {
    let w = fresh(BTreeMap::new()).await;
    let created = create(&w, "m", json!({"publish": true, "versionDescription": "first"})).await;
    let machine = created["stateMachineArn"].as_str().unwrap();
    assert_eq!(created["stateMachineVersionArn"], format!("{machine}:1"));
    // The same request again is answered as before; one that publishes otherwise is another one.
    let again = create(&w, "m", json!({"publish": true, "versionDescription": "first"})).await;
    assert_eq!(again, created);
    let other =
        json!({"name": "m", "definition": pass(0), "roleArn": ROLE, "publish": true, "versionDescription": "x"});
    assert_eq!(w.call("CreateStateMachine", other).await.unwrap_err().code, "StateMachineAlreadyExists");

    let same = update(&w, machine, 0, true).await;
    assert_eq!((same.get("revisionId"), &same["stateMachineVersionArn"]), (None, &json!(format!("{machine}:1"))));
    let second = update(&w, machine, 2, true).await;
    assert_eq!(second["stateMachineVersionArn"], format!("{machine}:2"));
    assert_eq!(update(&w, machine, 2, false).await["revisionId"], second["revisionId"]);
    assert_eq!(publish(&w, json!({"stateMachineArn": machine})).await.unwrap(), format!("{machine}:2"));
    assert_eq!(versions(&w, machine).await, ["2", "1"]);

    // Numbers do not come again.
    w.call("DeleteStateMachineVersion", json!({"stateMachineVersionArn": format!("{machine}:2")})).await.unwrap();
    w.call("DeleteStateMachineVersion", json!({"stateMachineVersionArn": format!("{machine}:2")})).await.unwrap();
    let third = publish(&w, json!({"stateMachineArn": machine, "revisionId": second["revisionId"]})).await.unwrap();
    assert_eq!((third, versions(&w, machine).await), (json!(format!("{machine}:3")), vec!["3".into(), "1".into()]));

    let third = update(&w, machine, 3, false).await;
    let (was, is) = (second["revisionId"].as_str().unwrap(), third["revisionId"].as_str().unwrap());
    let conflict = publish(&w, json!({"stateMachineArn": machine, "revisionId": was})).await.unwrap_err();
    let message = format!(
        "Failed to publish the State Machine version for revision {was}. The current State Machine revision is {is}."
    );
    assert_eq!(conflict, ("ConflictException".to_owned(), message));
    let qualified = publish(&w, json!({"stateMachineArn": format!("{machine}:1")})).await.unwrap_err();
    assert_eq!(qualified.0, "StateMachineDoesNotExist");
}

#[tokio::test]
async fn versions_are_described_and_run() {
    let (w, clock) = fresh_at(BTreeMap::new(), Options::default()).await;
    let created = create(&w, "m", json!({})).await;
    let machine = created["stateMachineArn"].as_str().unwrap();
    let first = json!({"stateMachineArn": machine, "revisionId": "INITIAL", "description": "one"});
    clock.advance(Duration::from_secs(60));
    let first = publish(&w, first).await.unwrap();
    let updated = update(&w, machine, 2, false).await;
    publish(&w, json!({"stateMachineArn": machine})).await.unwrap();

    let described = w.call("DescribeStateMachine", json!({"stateMachineArn": first})).await.unwrap();
    assert_eq!((&described["stateMachineArn"], &described["definition"]), (&first, &json!(pass(0))));
    let age = described["creationDate"].as_f64().unwrap() - created["creationDate"].as_f64().unwrap();
    assert_eq!(age, 60.0);
    assert_eq!((&described["description"], described.get("revisionId")), (&json!("one"), None));
    let now = w.call("DescribeStateMachine", json!({"stateMachineArn": machine})).await.unwrap();
    assert_eq!((&now["definition"], &now["revisionId"]), (&json!(pass(2)), &updated["revisionId"]));
    let metadata = json!({"stateMachineArn": first, "includedData": "METADATA_ONLY"});
    assert_eq!(w.call("DescribeStateMachine", metadata).await.unwrap()["definition"], "{}");

    let execution = w.start(first.as_str().unwrap(), "e", &json!({})).await.unwrap();
    let end = w.ended(&execution).await;
    assert_eq!((&end["output"], &end["stateMachineVersionArn"]), (&json!("0"), &first));
    assert_eq!((&end["stateMachineArn"], end.get("stateMachineAliasArn")), (&json!(machine), None));
    let history = w.call("GetExecutionHistory", json!({"executionArn": execution})).await.unwrap();
    assert_eq!(history["events"][0]["executionStartedEventDetails"]["stateMachineVersionArn"], first);
    let ran = w.call("DescribeStateMachineForExecution", json!({"executionArn": execution})).await.unwrap();
    assert_eq!((&ran["definition"], &ran["stateMachineArn"]), (&json!(pass(0)), &json!(machine)));
    let unknown = w.start(&format!("{machine}:9"), "x", &json!({})).await.unwrap_err();
    assert_eq!(unknown.message, format!("State Machine Does Not Exist: '{machine}:9'"));
    assert_eq!(w.start(&format!("{machine}/label"), "x", &json!({})).await.unwrap_err().code, "ValidationException");
}

fn alias(machine: &str, name: &str, routes: &[(&str, i64)]) -> Value {
    let routes: Vec<_> = routes
        .iter()
        .map(|(version, weight)| json!({"stateMachineVersionArn": format!("{machine}{version}"), "weight": weight}))
        .collect();
    json!({"name": name, "description": "d", "routingConfiguration": routes})
}

/// A machine of two versions, whose outputs are 1 and 2.
async fn two_versions(w: &World, name: &str, more: Value) -> String {
    let created = create(w, name, more).await;
    let machine = created["stateMachineArn"].as_str().unwrap().to_owned();
    update(w, &machine, 1, true).await;
    update(w, &machine, 2, true).await;
    machine
}

#[tokio::test]
async fn aliases_are_checked_as_aws_does() {
    let w = fresh(BTreeMap::new()).await;
    let m = &two_versions(&w, "m", json!({})).await;
    let other = two_versions(&w, "other", json!({})).await;
    let received = |text: &str| text.replace("MACHINE", m);
    let cases = [
        (
            alias(m, "a", &[("", 50), (":2", 50)]),
            received("Routing configuration must contain state machine version ARNs. Received: [MACHINE, MACHINE:2]"),
        ),
        (
            alias(m, "a", &[(":1", 50), (":1", 50)]),
            received(
                "Routing configuration must contain distinct state machine version ARNs. Received: [MACHINE:1, MACHINE:1]",
            ),
        ),
        (
            alias(m, "a", &[(":1", 70), (":2", 29)]),
            "Sum of routing configuration weights must equal 100. Received: [70, 29]".to_owned(),
        ),
        (alias(m, "a", &[(":7", 100)]), NO_REFERENCE.to_owned()),
        (
            json!({"name": "a", "routingConfiguration": [
                {"stateMachineVersionArn": format!("{m}:1"), "weight": 50}, {"stateMachineVersionArn": format!("{other}:1"), "weight": 50}]}),
            format!(
                "Routing configuration must contain versions of the same state machine. Received: [{m}:1, {other}:1]"
            ),
        ),
    ];
    for (input, message) in cases {
        assert_eq!(w.call("CreateStateMachineAlias", input).await.unwrap_err().message, message);
    }
    let good = alias(m, "PROD", &[(":1", 100)]);
    let created = w.call("CreateStateMachineAlias", good.clone()).await.unwrap();
    assert_eq!(created["stateMachineAliasArn"], format!("{m}:PROD"));
    assert_eq!(w.call("CreateStateMachineAlias", good).await.unwrap(), created);
    let different = w.call("CreateStateMachineAlias", alias(m, "PROD", &[(":2", 100)])).await.unwrap_err();
    assert_eq!((different.code.as_str(), different.status), ("ConflictException", 409));

    let used = w.call("DeleteStateMachineVersion", json!({"stateMachineVersionArn": format!("{m}:1")})).await;
    assert_eq!(
        used.unwrap_err().message,
        "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [PROD]"
    );
    let arn = json!({"stateMachineAliasArn": format!("{m}:PROD")});
    let nothing = w.call("UpdateStateMachineAlias", arn.clone()).await.unwrap_err();
    assert_eq!(nothing.members["reason"], "MISSING_REQUIRED_PARAMETER");
    let mut change = alias(m, "", &[(":2", 100)]);
    change["stateMachineAliasArn"] = json!(format!("{m}:PROD"));
    change["description"] = json!("new");
    w.call("UpdateStateMachineAlias", change).await.unwrap();
    let described = w.call("DescribeStateMachineAlias", arn.clone()).await.unwrap();
    assert_eq!((&described["name"], &described["description"]), (&json!("PROD"), &json!("new")));
    assert_eq!(described["routingConfiguration"], json!([{"stateMachineVersionArn": format!("{m}:2"), "weight": 100}]));
    w.call("DeleteStateMachineVersion", json!({"stateMachineVersionArn": format!("{m}:1")})).await.unwrap();

    w.call("DeleteStateMachineAlias", arn.clone()).await.unwrap();
    w.call("DeleteStateMachineAlias", arn.clone()).await.unwrap();
    for operation in ["DescribeStateMachineAlias", "UpdateStateMachineAlias"] {
        let input = json!({"stateMachineAliasArn": format!("{m}:PROD"), "description": "x"});
        let gone = w.call(operation, input).await.unwrap_err();
        assert_eq!((gone.code.as_str(), gone.message.as_str()), ("ResourceNotFound", NO_REFERENCE));
    }
}

#[tokio::test]
async fn an_alias_leads_to_its_versions_by_their_weights() {
    let w = fresh(BTreeMap::new()).await;
    let m = &two_versions(&w, "m", json!({})).await;
    for (name, routes) in [("SPLIT", vec![(":1", 30), (":2", 70)]), ("ONE", vec![(":1", 100)])] {
        w.call("CreateStateMachineAlias", alias(m, name, &routes)).await.unwrap();
    }
    let mut outputs = BTreeMap::<String, usize>::new();
    for n in 0..200 {
        let execution = w.start(&format!("{m}:SPLIT"), &format!("e{n}"), &json!({})).await.unwrap();
        let end = w.ended(&execution).await;
        assert_eq!(end["stateMachineAliasArn"], format!("{m}:SPLIT"));
        assert_eq!(end["stateMachineVersionArn"], format!("{m}:{}", end["output"].as_str().unwrap()));
        *outputs.entry(end["output"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!((30..90).contains(&outputs["1"]) && outputs["1"] + outputs["2"] == 200, "{outputs:?}");

    let listed =
        |input: Value| async { w.call("ListStateMachineAliases", input).await.unwrap()["stateMachineAliases"].clone() };
    assert_eq!(listed(json!({"stateMachineArn": m})).await.as_array().unwrap().len(), 2);
    let second = listed(json!({"stateMachineArn": format!("{m}:2")})).await;
    assert_eq!(second[0]["stateMachineAliasArn"], format!("{m}:SPLIT"));
    assert_eq!(second.as_array().unwrap().len(), 1);

    w.start(m, "plain", &json!({})).await.unwrap();
    let w = &w;
    let executions = |arn: String| async move {
        let listed = w.call("ListExecutions", json!({"stateMachineArn": arn, "maxResults": 1000})).await.unwrap();
        listed["executions"].as_array().unwrap().len()
    };
    assert_eq!(executions(m.clone()).await, 201);
    assert_eq!(executions(format!("{m}:SPLIT")).await, 200);
    assert_eq!(executions(format!("{m}:1")).await, outputs["1"]);
    assert_eq!(executions(format!("{m}:ONE")).await, 0);
}

#[tokio::test]
async fn an_alias_of_an_express_machine_answers_at_once() {
    let w = fresh(BTreeMap::new()).await;
    let m = &two_versions(&w, "x", json!({"type": "EXPRESS"})).await;
    w.call("CreateStateMachineAlias", alias(m, "ONE", &[(":1", 100)])).await.unwrap();
    let answer = w.call("StartSyncExecution", json!({"stateMachineArn": format!("{m}:ONE")})).await.unwrap();
    assert_eq!((&answer["output"], &answer["stateMachineArn"]), (&json!("1"), &json!(m)));
}

#[tokio::test]
async fn versions_and_aliases_survive_a_restart_and_go_with_their_machine() {
    let w = fresh(BTreeMap::new()).await;
    let m = &two_versions(&w, "m", json!({})).await;
    w.call("CreateStateMachineAlias", alias(m, "ONE", &[(":1", 100)])).await.unwrap();
    let w = w.restart(BTreeMap::new()).await;
    assert_eq!(versions(&w, m).await, ["2", "1"]);
    let execution = w.start(&format!("{m}:ONE"), "e", &json!({})).await.unwrap();
    assert_eq!(w.ended(&execution).await["output"], "1");

    w.call("DeleteStateMachine", json!({"stateMachineArn": format!("{m}:1")})).await.unwrap_err();
    w.call("DeleteStateMachine", json!({"stateMachineArn": m})).await.unwrap();
    assert_eq!(w.start(&format!("{m}:ONE"), "f", &json!({})).await.unwrap_err().code, "StateMachineDoesNotExist");
    assert!(versions(&w, m).await.is_empty());
    create(&w, "m", json!({})).await;
    assert_eq!(publish(&w, json!({"stateMachineArn": m})).await.unwrap(), format!("{m}:1"));
    let w = w.restart(BTreeMap::new()).await;
    assert_eq!(versions(&w, m).await, ["1"]);
    let none = w.call("ListStateMachineAliases", json!({"stateMachineArn": m})).await.unwrap();
    assert_eq!(none["stateMachineAliases"], json!([]));
}

#[tokio::test]
async fn versions_are_paged() {
    let w = fresh(BTreeMap::new()).await;
    let m = &two_versions(&w, "m", json!({"publish": true})).await;
    let w = &w;
    let page = |token: Value| async move {
        let input = json!({"stateMachineArn": m, "maxResults": 2, "nextToken": token});
        w.call("ListStateMachineVersions", input).await.unwrap()
    };
    let arns = |page: &Value| page["stateMachineVersions"].as_array().unwrap().len();
    let first = page(Value::Null).await;
    let second = page(first["nextToken"].clone()).await;
    assert_eq!((arns(&first), arns(&second), second.get("nextToken")), (2, 1, None));
    assert_eq!(second["stateMachineVersions"][0]["stateMachineVersionArn"], format!("{m}:1"));
    let other = json!({"stateMachineArn": format!("{m}x"), "nextToken": first["nextToken"]});
    assert_eq!(w.call("ListStateMachineVersions", other).await.unwrap_err().code, "InvalidToken");
}
