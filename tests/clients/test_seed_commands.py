"""The AWS CLI calls of the seed of AssessMax, as its README has them."""
import json
import time
import zipfile

HANDLER = '''
import json, os, boto3

def handler(event, context):
    """Marks what it gets in the jobs table, so that the test sees that it ran."""
    table = os.environ["DYNAMODB_JOBS_TABLE"]
    items = [json.loads(r["body"]) for r in event["Records"]] if "Records" in event else [event]
    dynamodb = boto3.client("dynamodb")
    for item in items:
        dynamodb.put_item(TableName=table, Item={"job_id": {"S": item["job_id"]}, "by": {"S": context.function_name}})
    return {"seen": len(items)}
'''

MACHINE = {
    "StartAt": "Normalize",
    "States": {
        "Normalize": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:assessmax-normalization-dev",
                      "ResultPath": "$.normalized", "Next": "Score"},
        "Score": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
                  "Parameters": {"QueueUrl": "", "MessageBody": {"job_id.$": "States.Format('{}-score', $.job_id)"}},
                  "ResultPath": None, "End": True},
    },
}


def wait_for(check, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def create_function(server, path, stage, timeout, memory, environment):
    variables = ",".join(f"{k}={v}" for k, v in environment.items())
    server.cli("lambda", "create-function", "--function-name", f"assessmax-{stage}-dev", "--runtime", "python3.11",
               "--role", "arn:aws:iam::000000000000:role/lambda-execution-role", "--handler", "handler.handler",
               "--zip-file", f"fileb://{path}", "--timeout", str(timeout), "--memory-size", str(memory),
               "--environment", f"Variables={{{variables}}}")


def test_the_seeds_commands(server, tmp_path):
    server.cli("cloudformation", "deploy", "--template-file", "pipelines/assessmax/infra/sqs/queues.yaml",
               "--stack-name", "assessmax-queues-dev", "--parameter-overrides", "Environment=dev")
    stack = json.loads(server.cli("cloudformation", "describe-stacks", "--stack-name", "assessmax-queues-dev").stdout)
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Stacks"][0]["Outputs"]}
    again = server.cli("cloudformation", "deploy", "--template-file", "pipelines/assessmax/infra/sqs/queues.yaml",
                       "--stack-name", "assessmax-queues-dev", "--parameter-overrides", "Environment=dev", check=False)
    assert "No changes to deploy" in again.stdout + again.stderr

    server.cli("dynamodb", "create-table", "--table-name", "assessmax-jobs-dev", "--billing-mode", "PAY_PER_REQUEST",
               "--attribute-definitions", "AttributeName=job_id,AttributeType=S",
               "--key-schema", "AttributeName=job_id,KeyType=HASH")
    archive = tmp_path / "function.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("handler.py", HANDLER)
    create_function(server, archive, "normalization", 300, 512, {
        "DYNAMODB_JOBS_TABLE": "assessmax-jobs-dev", "S3_RAW_BUCKET": "assessmax-raw-dev",
        "S3_NORMALIZED_BUCKET": "assessmax-normalized-dev", "SCORING_QUEUE_URL": outputs["ScoringQueueUrl"]})
    create_function(server, archive, "scoring", 900, 2048, {
        "DYNAMODB_JOBS_TABLE": "assessmax-jobs-dev", "S3_NORMALIZED_BUCKET": "assessmax-normalized-dev",
        "S3_OUTPUTS_BUCKET": "assessmax-outputs-dev", "AGGREGATION_QUEUE_URL": outputs["ScoringQueueUrl"]})
    server.cli("lambda", "create-event-source-mapping", "--function-name", "assessmax-scoring-dev", "--batch-size", "5",
               "--event-source-arn", outputs["ScoringQueueArn"], "--enabled")

    MACHINE["States"]["Score"]["Parameters"]["QueueUrl"] = outputs["ScoringQueueUrl"]
    definition = tmp_path / "machine.json"
    definition.write_text(json.dumps(MACHINE))
    machine = json.loads(server.cli(
        "stepfunctions", "create-state-machine", "--name", "assessmax-nlp-pipeline-dev", "--definition", f"file://{definition}",
        "--role-arn", "arn:aws:iam::000000000000:role/step-functions-execution-role").stdout)["stateMachineArn"]
    execution = json.loads(server.cli(
        "stepfunctions", "start-execution", "--state-machine-arn", machine, "--input", json.dumps({
            "job_id": "test-job-123", "input_key": "raw/class-101/2024-01-15/transcript.txt", "format": "txt",
            "class_id": "class-101", "date": "2024-01-15", "metadata": {}})).stdout)["executionArn"]

    def ended():
        described = json.loads(server.cli("stepfunctions", "describe-execution", "--execution-arn", execution).stdout)
        return described if described["status"] != "RUNNING" else None

    described = wait_for(ended)
    assert described["status"] == "SUCCEEDED", described
    table = server.client("dynamodb")

    def row(job_id):
        return table.get_item(TableName="assessmax-jobs-dev", Key={"job_id": {"S": job_id}}).get("Item")

    assert row("test-job-123")["by"]["S"] == "assessmax-normalization-dev"
    assert wait_for(lambda: row("test-job-123-score"))["by"]["S"] == "assessmax-scoring-dev"
    logs = server.cli("logs", "filter-log-events", "--log-group-name", "/aws/lambda/assessmax-scoring-dev").stdout
    assert "REPORT RequestId" in logs
    tail = server.cli("lambda", "invoke", "--function-name", "assessmax-normalization-dev", "--log-type", "Tail",
                      "--payload", '{"job_id": "by-hand"}', str(tmp_path / "answer.json"))
    assert json.loads((tmp_path / "answer.json").read_text()) == {"seen": 1}, tail.stdout


def test_mistakes_are_answered_as_aws_does(server):
    missing = server.cli("stepfunctions", "start-execution", "--state-machine-arn",
                         "arn:aws:states:us-east-1:000000000000:stateMachine:nowhere", check=False)
    assert missing.returncode == 254 or missing.returncode == 255
    assert "StateMachineDoesNotExist" in missing.stderr
    invalid = server.cli("stepfunctions", "create-state-machine", "--name", "x", "--role-arn",
                         "arn:aws:iam::000000000000:role/r", "--definition", '{"StartAt": "A", "States": {}}', check=False)
    assert "InvalidDefinition" in invalid.stderr
    unknown = server.cli("glue", "list-jobs", check=False)
    assert unknown.returncode != 0 and "glue" in unknown.stderr
    identity = json.loads(server.cli("sts", "get-caller-identity").stdout)
    assert identity["Account"] == "000000000000"
