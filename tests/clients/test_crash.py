"""kill -9 under load: what was acknowledged is there, what was running goes on, nothing happens twice."""
import json
import random
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

ROLE = "arn:aws:iam::000000000000:role/r"
ROUNDS = 3
EXECUTIONS = 60

# Counts each execution twice: by a message and by an item, both sent by the engine itself, so exactly once.
MACHINE = {
    "StartAt": "Count",
    "States": {
        "Count": {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:updateItem", "ResultPath": None,
                  "Parameters": {"TableName": "counts", "Key": {"id": {"S.$": "$$.Execution.Name"}},
                                 "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}},
                  "Next": "Wait"},
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Send"},
        "Send": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "ResultPath": None,
                 "Parameters": {"QueueUrl": "sent", "MessageBody.$": "$$.Execution.Name"}, "Next": "Call"},
        "Call": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:echo",
                 "Retry": [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "MaxAttempts": 20}], "End": True},
    },
}


def test_kill_9_under_load(own_server, tmp_path):
    server = own_server
    server.client("dynamodb").create_table(
        TableName="counts", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    server.client("sqs").create_queue(QueueName="sent")
    archive = tmp_path / "f.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("handler.py", "def handler(event, context):\n    return event\n")
    server.client("lambda").create_function(FunctionName="echo", Runtime="python3.12", Handler="handler.handler", Role=ROLE,
                                            Code={"ZipFile": archive.read_bytes()})
    machine = server.client("stepfunctions").create_state_machine(
        name="m", definition=json.dumps(MACHINE), roleArn=ROLE)["stateMachineArn"]

    acknowledged, lock = {}, threading.Lock()

    def start(name):
        try:
            arn = server.client("stepfunctions").start_execution(
                stateMachineArn=machine, name=name, input=json.dumps({"name": name}))["executionArn"]
            with lock:
                acknowledged[name] = arn
        except (BotoCoreError, ClientError):
            pass  # Not acknowledged: nothing is promised.

    for round in range(ROUNDS):
        with ThreadPoolExecutor(8) as pool:
            for n in range(EXECUTIONS):
                pool.submit(start, f"r{round}-{n}")
            time.sleep(random.uniform(0.1, 1.5))
            server.kill()
        server.start()

    states = server.client("stepfunctions")
    deadline = time.monotonic() + 60
    for name, arn in acknowledged.items():
        while (description := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, f"{name} is stuck"
            time.sleep(0.05)
        assert description["status"] == "SUCCEEDED", description
        events = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        assert [e["id"] for e in events] == list(range(1, len(events) + 1))
        entered = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
        assert entered == ["Count", "Wait", "Send", "Call"], f"{name}: {entered}"

    # Executions that started though nobody heard of it count too: all counters are exactly 1.
    running = [e["executionArn"] for p in states.get_paginator("list_executions").paginate(stateMachineArn=machine)
               for e in p["executions"] if e["status"] == "RUNNING"]
    for arn in running:
        while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            assert time.monotonic() < deadline, f"{arn} is stuck"
            time.sleep(0.05)
    items = [i for p in server.client("dynamodb").get_paginator("scan").paginate(TableName="counts") for i in p["Items"]]
    assert {i["n"]["N"] for i in items} == {"1"}
    assert set(acknowledged) <= {i["id"]["S"] for i in items}
    sqs = server.client("sqs")
    url = sqs.get_queue_url(QueueName="sent")["QueueUrl"]
    bodies = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [m["Body"] for m in messages]
        sqs.delete_message_batch(QueueUrl=url, Entries=[
            {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)])
    assert len(bodies) == len(set(bodies)), "a message was sent twice"
    assert set(bodies) == {i["id"]["S"] for i in items}
