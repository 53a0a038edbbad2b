use std::time::Duration;

use serde_json::{Value, json};

use super::world::{ECHO, World, until};

/// Whether a process is there and no zombie.
fn is_alive(pid: &Value) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

pub async fn gone(pid: &Value) {
    until(async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub const CHILDREN: &str = "
import os, subprocess, time
def handler(event, context):
    own = subprocess.Popen(['sleep', '600'])
    away = subprocess.Popen(['sleep', '600'], start_new_session=True)
    print('pids %d %d %d' % (os.getpid(), own.pid, away.pid), flush=True)
    if event.get('hang'):
        time.sleep(600)
    return [os.getpid(), own.pid, away.pid]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_kills_the_worker_and_all_it_started() {
    let world = World::new().await;
    let files = [("handler.py", 0o644, CHILDREN)];
    world.create("f", "python3.12", "handler.handler", &files, json!({"Timeout": 1})).await;
    let (response, log) = world.invoke_with_log("f", &json!({"hang": true})).await;
    let id = &response.request_id;
    let message = format!("RequestId: {id} Error: Task timed out after 1.00 seconds");
    assert_eq!(response.payload, json!({"errorType": "Sandbox.Timedout", "errorMessage": message}).to_string());
    assert_eq!(response.function_error, Some("Unhandled"));
    assert!(log.contains(&format!("Z {id} Task timed out after 1.00 seconds\n\nEND RequestId: {id}\n")), "{log}");
    assert!(log.contains("\tDuration: 1000.00 ms\t") && log.ends_with("\tStatus: timeout\n"), "{log}");
    let pids = log.lines().find_map(|l| l.strip_prefix("pids ")).unwrap();
    world.workers_at_most(0).await;
    for pid in pids.split(' ') {
        gone(&pid.parse::<i32>().unwrap().into()).await;
    }
    world.call("UpdateFunctionConfiguration", json!({"FunctionName": "f", "Timeout": 30})).await.unwrap();
    let (error, first) = world.invoke("f", &json!({})).await;
    assert_eq!(error, None, "a new worker");
    world.functions.shut_down().await;
    assert_eq!(world.functions.worker_count(), 0);
    for pid in first.as_array().unwrap() {
        gone(pid).await;
    }
    let fault = world.try_invoke(world.request("f", &json!({}))).await.unwrap_err();
    assert_eq!((fault.status, &*fault.code), (500, "ServiceException"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_and_requests_have_bounds() {
    let world = World::new().await;
    world.python("f", "def handler(event, context):\n    return 'x' * event['n']\n").await;
    let (error, answer) = world.invoke("f", &json!({"n": 7 * 1024 * 1024})).await;
    assert_eq!(error, Some("Unhandled"));
    let message = "Response payload size exceeded maximum allowed payload size (6291556 bytes).";
    assert_eq!(answer, json!({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}));
    let (error, answer) = world.invoke("f", &json!({"n": 6 * 1024 * 1024})).await;
    assert_eq!((error, answer.as_str().map(str::len)), (None, Some(6 * 1024 * 1024)));
    assert_eq!(world.functions.worker_count(), 1, "the worker goes on");
    let fault = world.try_invoke(world.request("f", &json!("x".repeat(6 * 1024 * 1024)))).await.unwrap_err();
    assert_eq!((fault.status, &*fault.code), (413, "RequestTooLargeException"));
    assert_eq!(fault.message, "Request must be smaller than 6291456 bytes for the InvokeRequest operation");
    let mut request = world.request("f", &json!(1));
    request.payload = "{".into();
    let fault = world.try_invoke(request).await.unwrap_err();
    assert_eq!((fault.status, &*fault.code), (400, "InvalidRequestContentException"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_output_is_cut() {
    let world = World::with(|o| o.log_bytes_per_invocation_max = 10_000).await;
    let code = "
def handler(event, context):
    for n in range(event['n']):
        print('line %d %s' % (n, 'x' * 80))
    return 'done'
";
    world.python("f", code).await;
    let (response, log) = world.invoke_with_log("f", &json!({"n": 200_000})).await;
    assert_eq!(response.payload, "\"done\"");
    assert!(log.contains("output beyond 10000 bytes in one invocation is dropped\nEND RequestId"), "{log}");
    assert!(log.len() <= 4096);
    let kept = world.logs.lines();
    assert!(kept.len() < 200, "{}", kept.len());
    assert_eq!(kept.iter().filter(|l| l.contains("is dropped")).count(), 1);
    let (_, log) = world.invoke_with_log("f", &json!({"n": 3})).await;
    assert!(log.contains("line 2 ") && !log.contains("is dropped"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_beyond_the_limit_ends_the_worker() {
    let world = World::new().await;
    let code = "
import time
def handler(event, context):
    held = [b'x' * (1 << 20) for _ in range(event['mb'])]
    while event.get('hold'):
        time.sleep(0.01)
    return len(held)
";
    let files = [("handler.py", 0o644, code)];
    world.create("f", "python3.12", "handler.handler", &files, json!({"MemorySize": 128})).await;
    assert_eq!(world.invoke("f", &json!({"mb": 20})).await, (None, json!(20)));
    let (response, log) = world.invoke_with_log("f", &json!({"mb": 200, "hold": true})).await;
    let message = format!("RequestId: {} Error: Runtime exited with error: signal: killed", response.request_id);
    assert_eq!(response.payload, json!({"errorType": "Runtime.OutOfMemory", "errorMessage": message}).to_string());
    assert!(log.contains("Error Type: Runtime.OutOfMemory"), "{log}");
    // Faster than anybody can look: the allocation itself fails.
    let (error, answer) = world.invoke("f", &json!({"mb": 3000, "hold": true})).await;
    assert_eq!(error, Some("Unhandled"));
    assert!(["MemoryError", "Runtime.OutOfMemory"].contains(&answer["errorType"].as_str().unwrap()), "{answer}");
}

const GATE: &str = "
import os, time
def handler(event, context):
    open(event['dir'] + '/' + event['name'], 'w').close()
    while not os.path.exists(event['dir'] + '/open'):
        time.sleep(0.002)
    return event['name']
";

/// Waits until `count` handlers have said that they are at it.
async fn at_work(dir: &std::path::Path, count: usize) {
    until(async {
        while std::fs::read_dir(dir).unwrap().count() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reservations_are_exact() {
    let world = World::new().await;
    let gate = tempfile::tempdir().unwrap();
    world.python("f", GATE).await;
    world.python("g", ECHO).await;
    world
        .call("PutFunctionConcurrency", json!({"FunctionName": "f", "ReservedConcurrentExecutions": 2}))
        .await
        .unwrap();
    let mut running = Vec::new();
    for name in ["a", "b"] {
        let request = world.request("f", &json!({"dir": gate.path(), "name": name}));
        let functions = world.functions.clone();
        running.push(tokio::spawn(async move { functions.invoke(request).await }));
    }
    at_work(gate.path(), 2).await;
    let fault = world.try_invoke(world.request("f", &json!({}))).await.unwrap_err();
    assert_eq!((fault.status, &*fault.code, &*fault.message), (429, "TooManyRequestsException", "Rate Exceeded."));
    assert_eq!(fault.members["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_eq!(world.invoke("g", &json!(1)).await, (None, json!(1)), "others are not harmed");
    std::fs::write(gate.path().join("open"), "").unwrap();
    for job in running {
        assert!(until(job).await.unwrap().unwrap().function_error.is_none());
    }
    let request = json!({"dir": gate.path(), "name": "c"});
    assert_eq!(world.invoke("f", &request).await, (None, json!("c")), "the place is free when the answer is there");
    world
        .call("PutFunctionConcurrency", json!({"FunctionName": "f", "ReservedConcurrentExecutions": 0}))
        .await
        .unwrap();
    assert!(world.try_invoke(world.request("f", &request)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invocations_share_few_workers() {
    let world = World::with(|o| o.workers_max = 2).await;
    for name in ["f", "g", "h"] {
        world.python(name, ECHO).await;
    }
    let mut jobs = Vec::new();
    for n in 0..60 {
        let request = world.request(["f", "g", "h"][n % 3], &json!(n));
        let functions = world.functions.clone();
        jobs.push(tokio::spawn(async move { functions.invoke(request).await }));
    }
    for (n, job) in jobs.into_iter().enumerate() {
        assert_eq!(until(job).await.unwrap().unwrap().payload, n.to_string());
    }
    world.workers_at_most(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_too_long_is_throttled() {
    let world = World::with(|o| {
        o.workers_max = 1;
        o.queue_wait_ms_max = 50;
    })
    .await;
    let gate = tempfile::tempdir().unwrap();
    world.python("f", GATE).await;
    // The start may take longer than the wait; it goes on all the same.
    let payload = json!({"dir": gate.path(), "name": "a"});
    let (first,) = until(async {
        loop {
            let request = world.request("f", &payload);
            let functions = world.functions.clone();
            let job = tokio::spawn(async move { functions.invoke(request).await });
            let file = gate.path().join("a");
            while !file.exists() && !job.is_finished() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if file.exists() {
                return (job,);
            }
        }
    })
    .await;
    let fault = world.try_invoke(world.request("f", &payload)).await.unwrap_err();
    assert_eq!(fault.members["Reason"], "ConcurrentInvocationLimitExceeded");
    std::fs::write(gate.path().join("open"), "").unwrap();
    assert!(until(first).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_workers_are_let_go_and_new_code_is_run() {
    let world = World::with(|o| o.worker_idle_ms = 30).await;
    world.python("f", ECHO).await;
    assert_eq!(world.invoke("f", &json!(1)).await, (None, json!(1)));
    world.workers_at_most(0).await;
    assert_eq!(world.invoke("f", &json!(2)).await, (None, json!(2)));

    let world = World::new().await;
    world.python("f", ECHO).await;
    assert_eq!(world.invoke("f", &json!(1)).await, (None, json!(1)));
    let input = json!({"FunctionName": "f", "Environment": {"Variables": {"AA": "new"}}});
    world.call("UpdateFunctionConfiguration", input).await.unwrap();
    let code = "import os\ndef handler(event, context):\n    return os.environ['AA']\n";
    use base64::Engine as _;
    let zip = base64::engine::general_purpose::STANDARD.encode(super::world::zip(&[("handler.py", 0o644, code)]));
    world.call("UpdateFunctionCode", json!({"FunctionName": "f", "ZipFile": zip})).await.unwrap();
    assert_eq!(world.invoke("f", &json!(1)).await, (None, json!("new")));
    world.workers_at_most(1).await;
    world.call("DeleteFunction", json!({"FunctionName": "f"})).await.unwrap();
    world.workers_at_most(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_takes_too_long() {
    let world = World::with(|o| o.init_ms_max = 300).await;
    let files = [("handler.py", 0o644, "import time\nprint('slow')\ntime.sleep(600)\n")];
    world.create("f", "python3.12", "handler.handler", &files, json!({"Timeout": 1})).await;
    let (error, answer) = world.invoke("f", &json!({})).await;
    assert_eq!((error, &answer["errorType"]), (Some("Unhandled"), &json!("Sandbox.Timedout")));
    world.workers_at_most(0).await;
}
