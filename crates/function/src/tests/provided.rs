use serde_json::json;

use super::world::World;

/// A runtime in a few lines of Python: what `DO` says it does with each invocation.
const BOOTSTRAP: &str = r#"#!/usr/bin/env python3
import http.client, os, sys, time
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2018-06-01/runtime/"
def call(method, path, body=None, headers={}):
    api.request(method, base + path, body, headers)
    answer = api.getresponse()
    return answer, answer.read()
do = os.environ.get("DO", "")
if do == "init-error":
    call("POST", "init/error", b'{"errorMessage":"no","errorType":"Own.Error"}', {"Lambda-Runtime-Function-Error-Type": "Own.Error"})
    time.sleep(60)
if do == "init-exit":
    print("about to go")
    sys.exit(3)
while True:
    answer, body = call("GET", "invocation/next")
    request_id = answer.getheader("Lambda-Runtime-Aws-Request-Id")
    response = "invocation/%s/response" % request_id
    if do == "echo":
        call("POST", response, body)
    elif do == "not-json":
        call("POST", response, b"Echoing request: '" + body + b"'")
    elif do == "chunks":
        call("POST", response, iter([b'["a",', b'"b"]']))
    elif do == "wrong-id":
        answer, text = call("POST", "invocation/other/response", b"1")
        call("POST", response, b'[%d, %s]' % (answer.status, text))
    elif do == "next-twice":
        answer, text = call("GET", "invocation/next")
        call("POST", response, b'[%d, %s]' % (answer.status, text))
    elif do == "two-answers":
        call("POST", response, b"1")
        answer, text = call("POST", response, b"2")
        print("second", answer.status, flush=True)
    elif do == "error":
        call("POST", "invocation/%s/error" % request_id, b'{"errorMessage":"m","errorType":"T"}')
    elif do == "exit":
        sys.exit(int(body))
    elif do == "kill":
        os.kill(os.getpid(), 11)
"#;

async fn create(world: &World, name: &str, what: &str) {
    // The machine's python3 may be outside AWS's PATH.
    let path = std::env::var("PATH").unwrap();
    let more = json!({"Environment": {"Variables": {"DO": what, "PATH": path}}});
    world.create(name, "provided.al2023", "unused", &[("bootstrap", 0o755, BOOTSTRAP)], more).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_bootstrap_answers_is_the_answer() {
    let world = World::new().await;
    for (what, expected) in [
        ("echo", r#"{"a":1}"#),
        ("not-json", r#"Echoing request: '{"a":1}'"#),
        ("chunks", r#"["a","b"]"#),
        ("wrong-id", r#"[400, {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}]"#),
    ] {
        create(&world, what, what).await;
        let response = world.try_invoke(world.request(what, &json!({"a": 1}))).await.unwrap();
        assert_eq!(response.payload, expected, "{what}");
        assert_eq!(response.function_error, None);
    }
    create(&world, "next-twice", "next-twice").await;
    let (_, answer) = world.invoke("next-twice", &json!({})).await;
    assert_eq!((&answer[0], &answer[1]["errorType"]), (&json!(403), &json!("InvalidStateTransition")));
    create(&world, "error", "error").await;
    let (error, answer) = world.invoke("error", &json!({})).await;
    assert_eq!((error, answer), (Some("Unhandled"), json!({"errorMessage": "m", "errorType": "T"})));
    create(&world, "two-answers", "two-answers").await;
    assert_eq!(world.invoke("two-answers", &json!({})).await, (None, json!(1)));
    world.logs.line_with("second 400").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_end() {
    let world = World::new().await;
    create(&world, "exit", "exit").await;
    for (payload, how) in [(json!(1), "with error: exit status 1"), (json!(0), "without providing a reason")] {
        let (response, log) = world.invoke_with_log("exit", &payload).await;
        let id = &response.request_id;
        let message = format!("RequestId: {id} Error: Runtime exited {how}");
        assert_eq!(response.payload, json!({"errorType": "Runtime.ExitError", "errorMessage": message}).to_string());
        assert_eq!(response.function_error, Some("Unhandled"));
        assert!(log.contains(&format!("{message}\nRuntime.ExitError\nEND RequestId: {id}\n")), "{log}");
        assert!(log.ends_with("\tStatus: error\tError Type: Runtime.ExitError\n"), "{log}");
    }
    create(&world, "kill", "kill").await;
    let (_, answer) = world.invoke("kill", &json!({})).await;
    let message = answer["errorMessage"].as_str().unwrap();
    assert!(message.ends_with("Error: Runtime exited with error: signal: segmentation fault"), "{message}");

    create(&world, "init-exit", "init-exit").await;
    let (response, log) = world.invoke_with_log("init-exit", &json!({})).await;
    assert!(
        response.payload.ends_with(b"Error: Runtime exited with error: exit status 3\"}"),
        "{:?}",
        response.payload
    );
    assert!(log.contains("START RequestId"), "{log}");
    world.logs.line_with("about to go").await;
    create(&world, "init-error", "init-error").await;
    let (error, answer) = world.invoke("init-error", &json!({})).await;
    assert_eq!((error, answer), (Some("Unhandled"), json!({"errorMessage": "no", "errorType": "Own.Error"})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstraps_that_cannot_start() {
    let world = World::new().await;
    for (name, file, mode, content, why) in [
        ("a", "other", 0o755, "", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        ("b", "bootstrap", 0o644, "#!/bin/sh\n", "fork/exec /var/task/bootstrap: permission denied"),
        ("c", "bootstrap", 0o755, "no program", "fork/exec /var/task/bootstrap: exec format error"),
        ("d", "bootstrap", 0o755, "#!/no/such/shell\n", "fork/exec /var/task/bootstrap: no such file or directory"),
    ] {
        world.create(name, "provided.al2", "h", &[(file, mode, content)], json!({})).await;
        let (error, answer) = world.invoke(name, &json!({})).await;
        assert_eq!((error, &answer["errorType"]), (Some("Unhandled"), &json!("Runtime.InvalidEntrypoint")));
        let message = answer["errorMessage"].as_str().unwrap();
        assert!(message.ends_with(&format!("Error: {why}")), "{message}");
    }
}

/// As AWS's tutorial has it: a connection for each request.
const SHELL: &str = r#"#!/bin/sh
set -eu
. "$LAMBDA_TASK_ROOT/$(echo "$_HANDLER" | cut -d. -f1).sh"
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  headers="$(mktemp)"
  event=$(curl -sS -LD "$headers" -X GET "$api/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  response=$($(echo "$_HANDLER" | cut -d. -f2) "$event")
  curl -sS -o /dev/null -X POST "$api/$id/response" -d "$response"
done
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_script_is_a_runtime() {
    if !std::process::Command::new("curl").arg("--version").output().is_ok_and(|o| o.status.success()) {
        println!("skipped: curl is not on PATH");
        return;
    }
    let world = World::new().await;
    let function = "hello() { echo \"$1\" >&2; echo \"{\\\"got\\\": $1}\"; }\n";
    let files = [("bootstrap", 0o755, SHELL), ("function.sh", 0o644, function)];
    world.create("f", "provided", "function.hello", &files, json!({})).await;
    for n in 0..3 {
        assert_eq!(world.invoke("f", &json!(n)).await, (None, json!({"got": n})));
    }
    assert_eq!(world.functions.worker_count(), 1);
    world.logs.line(|line| line == "2\n").await;
}
