//! Clusters: what templates name.

use serde_json::{Value, json};

use super::{ARN, World};

fn cluster(identifier: &str) -> Value {
    json!({
        "DBClusterIdentifier": identifier, "Engine": "aurora-postgresql", "EngineVersion": "16.4",
        "MasterUsername": "tester", "MasterUserPassword": "password", "EnableHttpEndpoint": true,
        "DatabaseName": "app", "Tags": [{"Key": "team", "Value": "data"}],
    })
}

#[tokio::test]
async fn a_cluster_from_creation_to_deletion() {
    let world = World::embedded().await;
    let made = world.rds("CreateDBCluster", cluster("Two")).await.unwrap();
    assert_eq!(made["DBCluster"]["Status"], "creating");
    let described = world.rds("DescribeDBClusters", json!({"DBClusterIdentifier": "two"})).await.unwrap();
    let two = described["DBClusters"][0].clone();
    for (member, wanted) in [
        ("DBClusterArn", json!("arn:aws:rds:us-east-1:000000000000:cluster:two")),
        ("DBClusterIdentifier", json!("two")),
        ("Status", json!("available")),
        ("DatabaseName", json!("app")),
        ("HttpEndpointEnabled", json!(true)),
        ("Endpoint", json!("localhost")),
        ("Port", json!(5432)),
        ("TagList", json!([{"Key": "team", "Value": "data"}])),
    ] {
        assert_eq!(two[member], wanted, "{member}");
    }
    let all = world.rds("DescribeDBClusters", json!({})).await.unwrap();
    let names: Vec<_> = all["DBClusters"].as_array().unwrap().iter().map(|c| &c["DBClusterIdentifier"]).collect();
    assert_eq!(names, ["main", "two"]);

    let arn = two["DBClusterArn"].clone();
    let tags = json!({"ResourceName": arn, "Tags": [{"Key": "stage", "Value": "dev"}]});
    world.rds("AddTagsToResource", tags).await.unwrap();
    world.rds("RemoveTagsFromResource", json!({"ResourceName": arn, "TagKeys": ["team"]})).await.unwrap();
    let tags = world.rds("ListTagsForResource", json!({"ResourceName": arn})).await.unwrap();
    assert_eq!(tags, json!({"TagList": [{"Key": "stage", "Value": "dev"}]}));

    let protect = json!({"DBClusterIdentifier": "two", "DeletionProtection": true, "EnableHttpEndpoint": false});
    let changed = world.rds("ModifyDBCluster", protect).await.unwrap();
    assert_eq!(changed["DBCluster"]["HttpEndpointEnabled"], false);
    let delete = json!({"DBClusterIdentifier": "two", "SkipFinalSnapshot": true});
    let fault = world.rds("DeleteDBCluster", delete.clone()).await.unwrap_err();
    assert_eq!(fault.code, "InvalidParameterCombination");
    let free = json!({"DBClusterIdentifier": "two", "DeletionProtection": false});
    world.rds("ModifyDBCluster", free).await.unwrap();
    let deleted = world.rds("DeleteDBCluster", delete.clone()).await.unwrap();
    assert_eq!(deleted["DBCluster"]["Status"], "deleting");
    let fault = world.rds("DeleteDBCluster", delete).await.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.status), ("DBClusterNotFoundFault", 404));
}

#[tokio::test]
async fn what_is_refused() {
    let world = World::embedded().await;
    let with = |member: &str, value: Value| {
        let mut input = cluster("new");
        input[member] = value;
        input
    };
    for (operation, input, code) in [
        ("CreateDBCluster", cluster("main"), "DBClusterAlreadyExistsFault"),
        ("CreateDBCluster", with("DBClusterIdentifier", json!("1x")), "InvalidParameterValue"),
        ("CreateDBCluster", with("DBClusterIdentifier", json!("x--y")), "InvalidParameterValue"),
        ("CreateDBCluster", with("DBClusterIdentifier", Value::Null), "InvalidParameterValue"),
        ("CreateDBCluster", with("Engine", json!("aurora-mysql")), "InvalidParameterValue"),
        ("CreateDBCluster", with("MasterUserPassword", json!("short")), "InvalidParameterValue"),
        ("CreateDBCluster", with("MasterUserPassword", Value::Null), "InvalidParameterCombination"),
        ("CreateDBCluster", with("ManageMasterUserPassword", json!(true)), "InvalidParameterCombination"),
        ("DescribeDBClusters", json!({"DBClusterIdentifier": "none"}), "DBClusterNotFoundFault"),
        ("DescribeDBClusters", json!({"MaxRecords": 5}), "InvalidParameterValue"),
        ("DescribeDBClusters", json!({"Filters": [{"Name": "x", "Values": []}]}), "InvalidParameterValue"),
        ("DeleteDBCluster", json!({"DBClusterIdentifier": "main"}), "InvalidParameterCombination"),
        ("ModifyDBCluster", json!({"DBClusterIdentifier": "none"}), "DBClusterNotFoundFault"),
        ("ListTagsForResource", json!({"ResourceName": "x"}), "InvalidParameterValue"),
    ] {
        let shown = input.to_string();
        assert_eq!(world.rds(operation, input).await.unwrap_err().code, code, "{operation} {shown}");
    }
}

#[tokio::test]
async fn a_deleted_cluster_leaves_nothing() {
    let world = World::embedded().await;
    world.sql("CREATE TABLE t (a int)").await.unwrap();
    let id = world.begin().await;
    let folders = |world: &World| std::fs::read_dir(world.folder.path().join("sql")).unwrap().count();
    assert_eq!(folders(&world), 1);
    world.rds("DeleteDBCluster", json!({"DBClusterIdentifier": "main", "SkipFinalSnapshot": true})).await.unwrap();
    assert_eq!(folders(&world), 0);
    world.rds("CreateDBCluster", cluster("main")).await.unwrap();
    assert_eq!(world.sql_in(&id, "select 1").await.unwrap_err().code, "TransactionNotFoundException");
    let fault = world.sql("SELECT * FROM t").await.unwrap_err();
    assert_eq!(fault.message, "ERROR: relation \"t\" does not exist; SQLState: 42P01");
}

#[tokio::test]
async fn what_a_crash_left_of_a_deleted_cluster_goes_at_the_next_start() {
    let world = World::embedded().await;
    world.sql("CREATE TABLE t (a int)").await.unwrap();
    let left = world.folder.path().join("sql").join("cluster-GONE");
    std::fs::create_dir(&left).unwrap();
    let (store, folder) = (world.store.clone(), world.folder.clone());
    drop(world);
    let world = World::start(store, folder, |_| {}).await;
    assert!(!left.exists());
    assert_eq!(world.one("SELECT count(*) FROM t").await, json!({"longValue": 0}));
}

#[tokio::test]
async fn a_managed_password_is_a_secret_of_ours() {
    let world = World::embedded().await;
    let mut input = cluster("managed");
    input["ManageMasterUserPassword"] = true.into();
    input.as_object_mut().unwrap().remove("MasterUserPassword");
    let made = world.rds_effect(b"e", "CreateDBCluster", input.clone()).await.unwrap();
    assert_eq!(world.rds_effect(b"e", "CreateDBCluster", input).await.unwrap(), made);
    let secret = made["DBCluster"]["MasterUserSecret"]["SecretArn"].clone();
    assert_eq!(world.secrets.lock().unwrap().len(), 2);
    let input = json!({"sql": "select 1", "resourceArn": ARN.replace("main", "managed"), "secretArn": secret});
    world.data("ExecuteStatement", input).await.unwrap();
    world.rds("DeleteDBCluster", json!({"DBClusterIdentifier": "managed", "SkipFinalSnapshot": true})).await.unwrap();
    assert_eq!(world.secrets.lock().unwrap().len(), 1);
}
