"""Each service through boto3, as a program uses it."""
import io
import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/r"


def code(error):
    return error.value.response["Error"]["Code"]


def test_s3(server):
    s3 = server.client("s3")
    bucket = f"b-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    body = bytes(range(256)) * 40_000  # Beyond 8 MiB boto3 uploads in parts.
    s3.upload_fileobj(io.BytesIO(body), bucket, "dir/large ü.bin", ExtraArgs={"Metadata": {"who": "me"}})
    head = s3.head_object(Bucket=bucket, Key="dir/large ü.bin")
    assert (head["ContentLength"], head["Metadata"]) == (len(body), {"who": "me"})
    part = s3.get_object(Bucket=bucket, Key="dir/large ü.bin", Range="bytes=255-258")
    assert (part["Body"].read(), part["ContentRange"]) == (b"\xff\x00\x01\x02", f"bytes 255-258/{len(body)}")
    assert s3.get_object(Bucket=bucket, Key="dir/large ü.bin")["Body"].read() == body
    s3.put_object(Bucket=bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="once", Body=b"2", IfNoneMatch="*")
    assert code(error) == "PreconditionFailed"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "once"})
    listed = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [o["Key"] for o in listed["Contents"]] == ["copy", "once"]
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["dir/"]
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert code(error) == "BucketNotEmpty"
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in ("copy", "once", "dir/large ü.bin")]})
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="once")
    assert code(error) == "NoSuchBucket"


def test_dynamodb(server):
    dynamodb = server.client("dynamodb")
    table = f"t-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("id", "S"), ("n", "N"), ("status", "S"))],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[{"IndexName": "by-status", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
            {"AttributeName": "status", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}]}])
    dynamodb.get_waiter("table_exists").wait(TableName=table)
    exact = "12345678901234567890.123456789"
    for n in range(20):
        dynamodb.put_item(TableName=table, Item={
            "id": {"S": "a"}, "n": {"N": str(n)}, "status": {"S": "odd" if n % 2 else "even"}, "exact": {"N": exact}})
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table, IndexName="by-status", KeyConditionExpression="#s = :odd AND n > :five",
        ExpressionAttributeNames={"#s": "status"}, ExpressionAttributeValues={":odd": {"S": "odd"}, ":five": {"N": "5"}},
        ScanIndexForward=False, PaginationConfig={"PageSize": 3})
    found = [i for page in pages for i in page["Items"]]
    assert [i["n"]["N"] for i in found] == ["19", "17", "15", "13", "11", "9", "7"]
    assert found[0]["exact"]["N"] == exact
    key = {"id": {"S": "a"}, "n": {"N": "1"}}
    updated = dynamodb.update_item(
        TableName=table, Key=key, UpdateExpression="SET c = if_not_exists(c, :zero) + :one REMOVE exact",
        ConditionExpression="attribute_exists(id)", ReturnValues="ALL_NEW",
        ExpressionAttributeValues={":zero": {"N": "0"}, ":one": {"N": "1"}})["Attributes"]
    assert updated["c"] == {"N": "1"} and "exact" not in updated
    with pytest.raises(ClientError) as error:
        dynamodb.put_item(TableName=table, Item=key, ConditionExpression="attribute_not_exists(id)")
    assert code(error) == "ConditionalCheckFailedException"
    with pytest.raises(ClientError) as error:
        dynamodb.transact_write_items(TransactItems=[
            {"Delete": {"TableName": table, "Key": key}},
            {"Put": {"TableName": table, "Item": key, "ConditionExpression": "attribute_not_exists(id)"}}])
    assert code(error) in ("TransactionCanceledException", "ValidationException")
    assert "Item" in dynamodb.get_item(TableName=table, Key=key)
    dynamodb.delete_table(TableName=table)


def test_sqs_fifo_and_dead_letters(server):
    sqs = server.client("sqs")
    name = uuid.uuid4().hex[:8]
    dead = sqs.create_queue(QueueName=f"{name}-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    queue = sqs.create_queue(QueueName=f"{name}.fifo", Attributes={
        "FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "0",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})})["QueueUrl"]
    for body in ("1", "2", "2"):
        sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId="g")
    for _ in range(2):
        assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "1"
    seen, deadline = [], time.monotonic() + 20
    while len(seen) < 2 and time.monotonic() < deadline:
        sqs.receive_message(QueueUrl=queue)
        for message in sqs.receive_message(QueueUrl=dead).get("Messages", []):
            seen.append(message["Body"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
    assert seen == ["1", "2"]
    with pytest.raises(ClientError) as error:
        sqs.send_message(QueueUrl=f"{queue}-gone", MessageBody="x")
    assert code(error) in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def test_secrets_and_sql(server):
    name = f"db-{uuid.uuid4().hex[:8]}"
    secret = server.client("secretsmanager").create_secret(
        Name=name, SecretString=json.dumps({"username": "u", "password": "p"}))["ARN"]
    cluster = server.client("rds").create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", EnableHttpEndpoint=True, MasterUsername="u",
        MasterUserPassword="password1", DatabaseName="app")["DBCluster"]["DBClusterArn"]
    data = server.client("rds-data")
    base = {"resourceArn": cluster, "secretArn": secret, "database": "app"}
    data.execute_statement(sql="CREATE TABLE scores (job TEXT, student TEXT, score BIGINT, PRIMARY KEY (job, student))", **base)
    insert = ("INSERT INTO scores (job, student, score) VALUES (:job, :student, :score) "
              "ON CONFLICT (job, student) DO UPDATE SET score = excluded.score")
    rows = [[{"name": "job", "value": {"stringValue": "j"}}, {"name": "student", "value": {"stringValue": s}},
             {"name": "score", "value": {"longValue": n}}] for s, n in (("a", 1), ("b", 2), ("a", 3))]
    data.batch_execute_statement(sql=insert, parameterSets=rows, **base)
    transaction = data.begin_transaction(**base)["transactionId"]
    data.execute_statement(sql="DELETE FROM scores", transactionId=transaction, **base)
    data.rollback_transaction(resourceArn=cluster, secretArn=secret, transactionId=transaction)
    found = data.execute_statement(sql="SELECT student, score FROM scores ORDER BY student", includeResultMetadata=True, **base)
    assert found["records"] == [[{"stringValue": "a"}, {"longValue": 3}], [{"stringValue": "b"}, {"longValue": 2}]]
    assert [c["name"] for c in found["columnMetadata"]] == ["student", "score"]
    with pytest.raises(ClientError):
        data.execute_statement(sql="SELEC 1", **base)


def test_waiting_parallel_and_map(server):
    states = server.client("stepfunctions")
    definition = {"StartAt": "Both", "States": {
        "Both": {"Type": "Parallel", "Next": "Each", "Branches": [
            {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}},
            {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": [1, 2, 3], "End": True}}}]},
        "Each": {"Type": "Map", "ItemsPath": "$[1]", "MaxConcurrency": 2, "End": True, "ItemProcessor": {
            "StartAt": "Add", "States": {"Add": {"Type": "Pass", "End": True,
                                                  "Parameters": {"sum.$": "States.MathAdd($, 1)"}}}}}}}
    machine = states.create_state_machine(name=uuid.uuid4().hex, definition=json.dumps(definition), roleArn=ROLE)["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    deadline = time.monotonic() + 30
    while (described := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert json.loads(described["output"]) == [{"sum": 2}, {"sum": 3}, {"sum": 4}]
