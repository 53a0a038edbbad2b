use std::process::Command;

use serde_json::json;

use super::world::World;

fn node_is_missing() -> bool {
    let missing = !Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success());
    if missing {
        println!("skipped: node is not on PATH");
    }
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn common_js_callbacks_and_errors() {
    if node_is_missing() {
        return;
    }
    let world = World::new().await;
    let code = r#"
let calls = 0;
exports.handler = (event, context, callback) => {
  calls += 1;
  console.log("hello", { a: 1 });
  switch (event.do) {
    case "callback": setTimeout(() => callback(null, { calls, id: context.awsRequestId.length }), 5); break;
    case "fail": callback(new TypeError("bad")); break;
    case "string": callback("only text"); break;
    case "throw": throw new RangeError("thrown");
    case "promise": return Promise.resolve([context.functionName, context.memoryLimitInMB,
      context.getRemainingTimeInMillis() > 0, process.env.AWS_EXECUTION_ENV]);
    case "nothing": break;
    case "circle": { const c = {}; c.c = c; callback(null, c); break; }
    case "late": setTimeout(() => console.log("late"), 20); callback(null, "early"); break;
    case "reject": Promise.reject(new Error("nobody looks")); setTimeout(() => {}, 10000); break;
  }
};
"#;
    world.create("f", "nodejs20.x", "index.handler", &[("index.js", 0o644, code)], json!({})).await;
    let (error, answer) = world.invoke("f", &json!({"do": "callback"})).await;
    assert_eq!((error, answer), (None, json!({"calls": 1, "id": 36})));
    let logged = world.logs.line_with("hello").await;
    assert!(logged.ends_with("\tINFO\thello { a: 1 }\n"), "{logged}");
    let (_, answer) = world.invoke("f", &json!({"do": "promise"})).await;
    assert_eq!(answer, json!(["f", "512", true, "AWS_Lambda_nodejs20.x"]));
    let (error, answer) = world.invoke("f", &json!({"do": "fail"})).await;
    assert_eq!(
        (error, &answer["errorType"], &answer["errorMessage"]),
        (Some("Unhandled"), &json!("TypeError"), &json!("bad"))
    );
    assert_eq!(answer["trace"][0], "TypeError: bad");
    assert!(answer["trace"][1].as_str().unwrap().contains("(/var/task/index.js:"), "{answer}");
    let logged = world.logs.line_with("ERROR\tInvoke Error").await;
    assert!(
        logged.contains("\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",\"errorMessage\":\"bad\""),
        "{logged}"
    );
    let (_, answer) = world.invoke("f", &json!({"do": "string"})).await;
    assert_eq!(answer, json!({"errorType": "string", "errorMessage": "only text", "trace": []}));
    let (_, answer) = world.invoke("f", &json!({"do": "throw"})).await;
    assert_eq!(answer["errorType"], "RangeError");
    assert_eq!(world.invoke("f", &json!({"do": "nothing"})).await, (None, json!(null)));
    let (_, answer) = world.invoke("f", &json!({"do": "circle"})).await;
    assert_eq!(answer["errorMessage"], "Unable to stringify response body");
    let (response, log) = world.invoke_with_log("f", &json!({"do": "late"})).await;
    assert_eq!(response.payload, "\"early\"");
    assert!(log.contains("\tlate\nEND RequestId"), "the event loop was waited for: {log}");
    assert_eq!(world.functions.worker_count(), 1);
    let (error, answer) = world.invoke("f", &json!({"do": "reject"})).await;
    assert_eq!((error, &answer["errorType"]), (Some("Unhandled"), &json!("Runtime.UnhandledPromiseRejection")));
    assert_eq!(world.invoke("f", &json!({"do": "callback"})).await.1["calls"], 1, "a new worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_and_what_cannot_be_loaded() {
    if node_is_missing() {
        return;
    }
    let world = World::new().await;
    let esm = "
import { readFileSync } from 'node:fs';
export const handler = async (event) => ({ got: event, file: readFileSync('data.txt', 'utf8') });
export const never = async () => new Promise(() => {});
export const nested = { deep: { handler: async () => 7 } };
";
    let files = [
        ("index.mjs", 0o644, esm),
        ("data.txt", 0o644, "content"),
        ("broken.js", 0o644, "exports.handler = ("),
        ("needs.js", 0o644, "require('missing-thing')"),
        ("lib/app.cjs", 0o644, "exports.run = async () => 'from lib'"),
    ];
    let invoke = async |name: &str, handler: &str| {
        world.create(name, "nodejs22.x", handler, &files, json!({})).await;
        world.invoke(name, &json!({"n": 1})).await
    };
    assert_eq!(invoke("a", "index.handler").await, (None, json!({"got": {"n": 1}, "file": "content"})));
    assert_eq!(invoke("b", "index.nested.deep.handler").await, (None, json!(7)));
    assert_eq!(invoke("c", "lib/app.run").await, (None, json!("from lib")));
    let (_, answer) = invoke("d", "index.never").await;
    assert_eq!(answer["errorType"], "Runtime.NodejsExit");
    let (_, answer) = invoke("e", "nowhere.handler").await;
    assert_eq!(answer["errorType"], "Runtime.ImportModuleError");
    assert!(answer["errorMessage"].as_str().unwrap().starts_with("Error: Cannot find module 'nowhere'"), "{answer}");
    let (_, answer) = invoke("g", "needs.handler").await;
    assert_eq!(answer["errorType"], "Runtime.ImportModuleError");
    assert!(answer["errorMessage"].as_str().unwrap().contains("- /var/task/needs.js"), "{answer}");
    let (_, answer) = invoke("h", "broken.handler").await;
    assert_eq!(answer["errorType"], "Runtime.UserCodeSyntaxError");
    let (_, answer) = invoke("i", "index.absent").await;
    assert_eq!(
        (&answer["errorType"], &answer["errorMessage"]),
        (&json!("Runtime.HandlerNotFound"), &json!("index.absent is undefined or not exported"))
    );
    let (_, answer) = invoke("j", "../index.handler").await;
    assert_eq!(answer["errorType"], "Runtime.MalformedHandlerName");
}
