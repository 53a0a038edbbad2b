use serde_json::{Value, json};

use super::world::{ECHO, World};
use crate::InvokeRequest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_log_lines() {
    let world = World::new().await;
    let code = "
import logging
def handler(event, context):
    print('hello')
    logging.warning('two\\nlines')
    return {'sum': event['a'] + 1, 'é': 'ü'}
";
    world.python("f", code).await;
    let (response, log) = world.invoke_with_log("f", &json!({"a": 41})).await;
    assert_eq!(response.payload, r#"{"sum": 42, "é": "ü"}"#);
    assert_eq!((response.function_error, response.executed_version.as_deref()), (None, Some("$LATEST")));
    let id = &response.request_id;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], format!("START RequestId: {id} Version: $LATEST"));
    assert_eq!(lines[1], "hello");
    assert!(lines[2].starts_with("[WARNING]\t20") && lines[2].ends_with(&format!("Z\t{id}\ttwo")), "{}", lines[2]);
    assert_eq!((lines[3], lines[4]), ("lines", &*format!("END RequestId: {id}")));
    assert!(lines[5].starts_with(&format!("REPORT RequestId: {id}\tDuration: ")), "{}", lines[5]);
    assert!(lines[5].contains("\tMemory Size: 512 MB\tMax Memory Used: ") && lines[5].contains("\tInit Duration: "));
    let (response, log) = world.invoke_with_log("f", &json!({"a": 1})).await;
    assert_eq!(response.payload, r#"{"sum": 2, "é": "ü"}"#);
    assert!(!log.contains("Init Duration"), "the same worker: {log}");
    let events = world.logs.events.lock().unwrap();
    assert!(events.iter().all(|(group, _, _)| group == "/aws/lambda/f"));
    assert_eq!(events.iter().filter(|(_, _, l)| l.ends_with("two\nlines\n")).count(), 2, "one event of two lines");
    let stream = &events[0].1;
    assert_eq!((&stream[10..20], stream.len()), ("/[$LATEST]", 52), "{stream}");
    assert_eq!(world.functions.worker_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_as_aws_shapes_them() {
    let world = World::new().await;
    let code = "
def handler(event, context):
    return globals()[event['do']](context)

class CustomException(Exception):
    def __init__(self):
        self.message = 'x'

def raise_(context):
    raise CustomException()

def fail(context):
    raise ValueError('Some exception was raised.')

def bytes_(context):
    return b'\"HelloWorld!\"'

def set_(context):
    return {1, 2}

def numbers(context):
    import decimal
    return [decimal.Decimal('1.10'), float('nan'), {'b': b'text'}]
";
    world.python("f", code).await;
    let (error, answer) = world.invoke("f", &json!({"do": "fail"})).await;
    assert_eq!(error, Some("Unhandled"));
    assert_eq!(
        (&answer["errorMessage"], &answer["errorType"]),
        (&json!("Some exception was raised."), &json!("ValueError"))
    );
    assert_eq!(
        answer["stackTrace"],
        json!([
            "  File \"/var/task/handler.py\", line 3, in handler\n    return globals()[event['do']](context)\n",
            "  File \"/var/task/handler.py\", line 13, in fail\n    raise ValueError('Some exception was raised.')\n",
        ])
    );
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["errorMessage", "errorType", "requestId", "stackTrace"]);
    let logged = world.logs.line_with("[ERROR] ValueError").await;
    assert!(logged.starts_with("[ERROR] ValueError: Some exception was raised.\nTraceback (most recent call last):\n"));
    assert!(logged.contains("\n\u{a0}\u{a0}File \"/var/task/handler.py\", line 13, in fail\n"), "{logged}");

    let (_, answer) = world.invoke("f", &json!({"do": "raise_"})).await;
    assert_eq!((&answer["errorMessage"], &answer["errorType"]), (&json!(""), &json!("CustomException")));
    let (error, answer) = world.invoke("f", &json!({"do": "bytes_"})).await;
    assert_eq!((error, answer), (None, json!("HelloWorld!")));
    let (_, answer) = world.invoke("f", &json!({"do": "set_"})).await;
    assert_eq!(answer["errorType"], "Runtime.MarshalError");
    assert_eq!(answer["errorMessage"], "Unable to marshal response: Object of type set is not JSON serializable");
    let response = world.try_invoke(world.request("f", &json!({"do": "numbers"}))).await.unwrap();
    assert_eq!(response.payload, r#"[1.10, NaN, {"b": "text"}]"#);
    assert_eq!(world.functions.worker_count(), 1, "errors of a handler do not cost a worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_cannot_be_loaded() {
    let world = World::new().await;
    let files = [
        ("handler.py", 0o644, ECHO),
        ("broken.py", 0o644, "def x(:\n"),
        ("needs.py", 0o644, "import missing_module\n"),
    ];
    for (name, handler, kind, message) in [
        (
            "a",
            "nowhere.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'nowhere': No module named 'nowhere'",
        ),
        (
            "b",
            "needs.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'needs': No module named 'missing_module'",
        ),
        ("c", "handler.other", "Runtime.HandlerNotFound", "Handler 'other' missing on module 'handler'"),
        (
            "d",
            "handler",
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        ),
        ("e", "sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        (
            "f",
            "broken.x",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'broken': invalid syntax (broken.py, line 1)",
        ),
    ] {
        world.create(name, "python3.12", handler, &files, json!({})).await;
        let (error, answer) = world.invoke(name, &json!({})).await;
        assert_eq!((error, &answer["errorType"]), (Some("Unhandled"), &json!(kind)), "{answer}");
        assert_eq!(answer["errorMessage"], message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn context_and_environment() {
    let world = World::with(|o| o.path_prefix = vec!["/stepwell/bin".into()]).await;
    world.functions.set_endpoint("http://127.0.0.1:1234");
    let code = "
import os, sys
def handler(event, context):
    c = context
    left = c.get_remaining_time_in_millis()
    return {
        'context': [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb,
                    c.log_group_name, c.log_stream_name == os.environ['AWS_LAMBDA_LOG_STREAM_NAME'],
                    c.aws_request_id, 0 < left <= 30000, c.client_context.custom, c.identity.cognito_identity_id],
        'env': dict(os.environ), 'cwd': os.getcwd(), 'path': sys.path[0], 'args': sys.argv,
        'group': os.getpgrp() == os.getpid(),
    }
";
    world
        .create(
            "f",
            "python3.12",
            "handler.handler",
            &[("handler.py", 0o644, code)],
            json!({
                "Environment": {"Variables": {"JOBS_TABLE": "jobs", "LANG": "C.UTF-8"}},
            }),
        )
        .await;
    let mut request = InvokeRequest { qualifier: Some("$LATEST".to_owned()), ..world.request("f", &json!({})) };
    request.client_context = Some("eyJjdXN0b20iOiB7ImEiOiAiw6kifX0=".to_owned());
    request.request_id = Some("8f5e1a6e-0000-4000-8000-000000000001".into());
    let answer: Value = serde_json::from_slice(&world.try_invoke(request).await.unwrap().payload).unwrap();
    assert_eq!(
        answer["context"],
        json!([
            "f", "$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST", "512", "/aws/lambda/f", true,
            "8f5e1a6e-0000-4000-8000-000000000001", true, {"a": "é"}, null
        ])
    );
    let env = &answer["env"];
    for (name, value) in [
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1234"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("_HANDLER", "handler.handler"),
        ("TZ", ":UTC"),
        ("JOBS_TABLE", "jobs"),
        ("LANG", "C.UTF-8"),
        ("PATH", "/stepwell/bin:/usr/local/bin:/usr/bin:/bin"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    for absent in ["CARGO_MANIFEST_DIR", "USER", "STEPWELL_OPT_ROOT"] {
        assert!(env.get(absent).is_none(), "{absent}");
    }
    assert_eq!((&answer["cwd"], &answer["path"]), (&env["LAMBDA_TASK_ROOT"], &env["LAMBDA_TASK_ROOT"]));
    assert_eq!((&answer["args"], &answer["group"]), (&json!([""]), &json!(true)));
    assert!(env["_X_AMZN_TRACE_ID"].as_str().unwrap().starts_with("Root=1-"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_logs() {
    let world = World::new().await;
    let code = "
import logging
def handler(event, context):
    logging.getLogger().info('fine', extra={'job': 7})
    return 1
";
    world
        .create(
            "f",
            "python3.12",
            "handler.handler",
            &[("handler.py", 0o644, code)],
            json!({
                "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/own/group"},
            }),
        )
        .await;
    let (_, log) = world.invoke_with_log("f", &json!({})).await;
    let lines: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["type"], "platform.start");
    assert_eq!(
        (&lines[1]["message"], &lines[1]["level"], &lines[1]["job"]),
        (&json!("fine"), &json!("INFO"), &json!(7))
    );
    assert_eq!((&lines[2]["type"], &lines[3]["type"]), (&json!("platform.runtimeDone"), &json!("platform.report")));
    assert!(world.logs.events.lock().unwrap().iter().all(|(group, _, _)| group == "/own/group"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_finds_our_services() {
    let world = World::new().await;
    world.functions.set_endpoint("http://127.0.0.1:4999");
    let code = "
def handler(event, context):
    try:
        import boto3
    except ImportError:
        return None
    session = boto3.Session()
    client = session.client('sqs')
    return [client.meta.endpoint_url, client.meta.region_name, session.get_credentials().access_key]
";
    let files = [("handler.py", 0o644, code)];
    world.create("f", "python3.12", "handler.handler", &files, json!({"MemorySize": 256})).await;
    let (error, answer) = world.invoke("f", &json!({})).await;
    assert_eq!(error, None, "{answer}");
    if answer.is_null() {
        println!("skipped: the machine's Python has no boto3");
    } else {
        assert_eq!(answer, json!(["http://127.0.0.1:4999", "us-east-1", "test"]));
    }
}
