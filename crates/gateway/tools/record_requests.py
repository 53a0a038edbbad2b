"""Writes tests/data/requests.json: requests as botocore sends them, with the input that an operation should see.

    python3 crates/gateway/tools/record_requests.py            # needs boto3
    python3 crates/gateway/tools/record_requests.py --sqs-query  # needs botocore<1.30: SQS over the Query protocol

Nothing is sent: each request is caught before that. Keys and times in it are made up or recorded.
"""
import base64
import datetime
import json
import os
import sys

import boto3
from botocore.config import Config

DATA = os.path.join(os.path.dirname(__file__), "..", "tests", "data")
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AT = datetime.datetime(2024, 1, 15, 9, 30, 0, tzinfo=datetime.timezone.utc)
QUEUE = "http://127.0.0.1:4566/000000000000/orders"
ARN = "arn:aws:lambda:eu-west-1:000000000000:function:score:live"

# service id, boto3's name, operation (boto3's method), parameters
CASES = [
    ("dynamodb", "dynamodb", "put_item", {
        "TableName": "jobs", "Item": {"id": {"S": "a\u00e9\u4e2d"}, "n": {"N": "1.50"}, "b": {"B": b"\x00\xff"}}}),
    ("dynamodb", "dynamodb", "list_tables", {}),
    ("sqs", "sqs", "create_queue", {"QueueName": "orders", "Attributes": {"VisibilityTimeout": "30"},
                                    "tags": {"env": "dev"}}),
    ("sqs", "sqs", "send_message", {
        "QueueUrl": QUEUE, "MessageBody": "a & b <c> \u00fc",
        "MessageAttributes": {"k": {"DataType": "Binary", "BinaryValue": b"\x01"}}}),
    ("sqs", "sqs", "receive_message", {"QueueUrl": QUEUE, "MaxNumberOfMessages": 10, "AttributeNames": ["All"]}),
    ("states", "stepfunctions", "start_execution", {
        "stateMachineArn": "arn:aws:states:eu-west-1:000000000000:stateMachine:m", "input": "{\"a\":[1,2]}"}),
    ("logs", "logs", "put_log_events", {"logGroupName": "/aws/lambda/f", "logStreamName": "s",
                                        "logEvents": [{"timestamp": 1705311000000, "message": "m"}]}),
    ("secretsmanager", "secretsmanager", "create_secret", {
        "Name": "db", "SecretBinary": b"\x00\x01", "ClientRequestToken": "12345678-1234-1234-1234-123456789012"}),
    ("ssm", "ssm", "put_parameter", {"Name": "/a/b", "Value": "v", "Type": "String", "Overwrite": True}),
    ("kinesis", "kinesis", "put_record", {"StreamName": "s", "Data": b"data", "PartitionKey": "p"}),
    ("events", "events", "put_events", {"Entries": [{"Time": AT, "Source": "s", "DetailType": "t", "Detail": "{}"}]}),
    ("lambda", "lambda", "create_function", {
        "FunctionName": "score", "Runtime": "python3.11", "Role": "arn:aws:iam::000000000000:role/r",
        "Handler": "handler.handler", "Code": {"ZipFile": b"PK\x03\x04"}, "Timeout": 300, "Publish": True,
        "Environment": {"Variables": {"A": "b"}}}),
    ("lambda", "lambda", "get_function", {"FunctionName": ARN, "Qualifier": "live"}),
    ("lambda", "lambda", "list_functions", {"MaxItems": 50, "Marker": "a b+c/="}),
    ("lambda", "lambda", "invoke", {"FunctionName": "score", "InvocationType": "Event", "Payload": b"{\"a\": 1}",
                                    "Qualifier": "$LATEST"}),
    ("lambda", "lambda", "create_event_source_mapping", {
        "EventSourceArn": "arn:aws:sqs:eu-west-1:000000000000:orders", "FunctionName": "score", "BatchSize": 5,
        "Enabled": True, "StartingPositionTimestamp": AT}),
    ("lambda", "lambda", "delete_event_source_mapping", {"UUID": "14e0db71-5d35-4eb5-b481-8945cf9d10c2"}),
    ("lambda", "lambda", "add_permission", {
        "FunctionName": "score", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*",
        "Qualifier": "live"}),
    ("lambda", "lambda", "untag_resource", {"Resource": ARN, "TagKeys": ["a", "b c", "d&e"]}),
    ("lambda", "lambda", "get_layer_version_by_arn", {"Arn": "arn:aws:lambda:eu-west-1:000000000000:layer:l:1"}),
    ("lambda", "lambda", "put_function_concurrency", {"FunctionName": "score", "ReservedConcurrentExecutions": 5}),
    ("rds-data", "rds-data", "execute_statement", {
        "resourceArn": "arn:aws:rds:eu-west-1:000000000000:cluster:c", "secretArn": "arn:aws:secretsmanager:s", "sql": "select :a",
        "parameters": [{"name": "a", "value": {"blobValue": b"\x07"}}, {"name": "n", "value": {"isNull": True}}]}),
    ("rds-data", "rds-data", "begin_transaction", {"resourceArn": "arn:aws:rds:c", "secretArn": "arn:aws:secretsmanager:s"}),
    ("scheduler", "scheduler", "create_schedule", {
        "Name": "nightly", "GroupName": "default", "ScheduleExpression": "rate(1 hour)", "StartDate": AT,
        "ClientToken": "t", "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:sqs:eu-west-1:000000000000:orders", "RoleArn": "arn:aws:iam::000000000000:role/r"}}),
    ("sts", "sts", "get_caller_identity", {}),
    ("sts", "sts", "assume_role", {
        "RoleArn": "arn:aws:iam::000000000000:role/r", "RoleSessionName": "s", "DurationSeconds": 900,
        "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": ""}], "TransitiveTagKeys": ["a"]}),
    ("iam", "iam", "create_role", {
        "RoleName": "r", "AssumeRolePolicyDocument": "{\"Version\": \"2012-10-17\"}", "Path": "/x/",
        "Tags": [{"Key": "env", "Value": "a=b&c d"}]}),
    ("iam", "iam", "list_policies", {"OnlyAttached": True, "MaxItems": 12}),
    ("cloudformation", "cloudformation", "create_stack", {
        "StackName": "s", "TemplateBody": "Resources:\n  Q: {Type: 'AWS::SQS::Queue'}\n",
        "Parameters": [{"ParameterKey": "Environment", "ParameterValue": "dev"},
                       {"ParameterKey": "Old", "UsePreviousValue": True}],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"], "Tags": [], "DisableRollback": False,
        "RollbackConfiguration": {"RollbackTriggers": [{"Arn": "arn:a", "Type": "t"}], "MonitoringTimeInMinutes": 1}}),
    ("cloudformation", "cloudformation", "describe_stacks", {"StackName": "s"}),
    ("sns", "sns", "publish", {
        "TopicArn": "arn:aws:sns:eu-west-1:000000000000:t", "Message": "m",
        "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"},
                              "b": {"DataType": "Binary", "BinaryValue": b"\x01\x02"}}}),
    ("rds", "rds", "add_tags_to_resource", {"ResourceName": "arn:r", "Tags": [{"Key": "k", "Value": "v"}]}),
]

SQS_CASES = [
    ("sqs", "sqs", "create_queue", {"QueueName": "orders", "Attributes": {"VisibilityTimeout": "30", "DelaySeconds": "1"},
                                    "tags": {"env": "dev"}}),
    ("sqs", "sqs", "send_message", {
        "QueueUrl": QUEUE, "MessageBody": "a & b <c> \u00fc", "DelaySeconds": 3,
        "MessageAttributes": {"k": {"DataType": "Binary", "BinaryValue": b"\x01"},
                              "l": {"DataType": "String", "StringValue": "x"}}}),
    ("sqs", "sqs", "send_message_batch", {
        "QueueUrl": QUEUE, "Entries": [{"Id": str(i), "MessageBody": f"m{i}"} for i in range(1, 11)]}),
    ("sqs", "sqs", "receive_message", {"QueueUrl": QUEUE, "MaxNumberOfMessages": 10, "AttributeNames": ["All"],
                                       "MessageAttributeNames": ["a", "b"]}),
    ("sqs", "sqs", "delete_message_batch", {"QueueUrl": QUEUE, "Entries": [{"Id": "1", "ReceiptHandle": "r"}]}),
    ("sqs", "sqs", "change_message_visibility", {"QueueUrl": QUEUE, "ReceiptHandle": "r", "VisibilityTimeout": 0}),
    ("sqs", "sqs", "tag_queue", {"QueueUrl": QUEUE, "Tags": {"a": "b"}}),
    ("sqs", "sqs", "untag_queue", {"QueueUrl": QUEUE, "TagKeys": ["a"]}),
    ("sqs", "sqs", "add_permission", {"QueueUrl": QUEUE, "Label": "l", "AWSAccountIds": ["1"], "Actions": ["*"]}),
]


class Caught(Exception):
    pass


def registry_form(value):
    """The input as the registry carries it: blobs as base64, times as seconds."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {k: registry_form(v) for k, v in value.items()}
    if isinstance(value, list):
        return [registry_form(v) for v in value]
    return value


def client(name):
    return boto3.client(name, region_name="eu-west-1", endpoint_url="http://127.0.0.1:4566", aws_access_key_id=KEY,
                        aws_secret_access_key=SECRET, config=Config(inject_host_prefix=False, parameter_validation=False))


def described(method, url, headers, body):
    from urllib.parse import urlsplit
    parts = urlsplit(url)
    text = lambda v: v.decode("latin-1") if isinstance(v, bytes) else str(v)
    # Unsigned ones that tell of the recording machine stay out.
    headers = {k: text(v) for k, v in headers.items() if k != "User-Agent" and not k.startswith("amz-sdk")}
    headers.setdefault("Host", parts.netloc)
    return {"method": method, "target": parts.path + (f"?{parts.query}" if parts.query else ""), "headers": headers,
            "body": base64.b64encode(body or b"").decode()}


def record(service, name, method, parameters):
    c, caught = client(name), {}

    def catch(request, **_):
        body = request.body
        body = body.read() if hasattr(body, "read") else body
        body = body.encode() if isinstance(body, str) else body
        caught.update(described(request.method, request.url, dict(request.headers), body))
        raise Caught
    c.meta.events.register("before-send", catch)
    try:
        getattr(c, method)(**parameters)
    except Caught:
        pass
    operation = c.meta.method_to_api_mapping[method]
    print(service, operation, caught["target"], file=sys.stderr)
    return {"service": service, "operation": operation, "input": registry_form(parameters), "request": caught}


def presigned(service, name, method, parameters):
    c = client(name)
    url = c.generate_presigned_url(method, Params=parameters, ExpiresIn=900, HttpMethod="GET")
    return {"service": service, "operation": c.meta.method_to_api_mapping[method], "input": parameters,
            "request": described("GET", url, {}, b"")}


def write(file, cases):
    with open(os.path.join(DATA, file), "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


def main():
    if "--sqs-query" in sys.argv:
        write("requests_sqs_query.json", [record(*case) for case in SQS_CASES])
        return
    cases = [record(*case) for case in CASES]
    cases.append(presigned("sts", "sts", "get_caller_identity", {}))
    cases.append(presigned("iam", "iam", "get_role", {"RoleName": "a+b=c,d@e"}))
    write("requests.json", cases)


if __name__ == "__main__":
    main()
