"""Lets botocore read what tests/data/responses.json says we answer, and compares.

    UPDATE=1 cargo test -p gateway                          # writes our answers into the file
    python3 crates/gateway/tools/check_responses.py         # needs botocore
    python3 crates/gateway/tools/check_responses.py --sqs-query   # needs botocore<1.30, for SQS over Query
"""
import base64
import datetime
import json
import os
import sys

import botocore.session
from botocore.parsers import create_parser

FILE = os.path.join(os.path.dirname(__file__), "..", "tests", "data", "responses.json")
NAMES = {"states": "stepfunctions", "monitoring": "cloudwatch"}


class Headers(dict):
    """Case-insensitive, as HTTP libraries have them."""

    def __init__(self, values):
        super().__init__({k.lower(): v for k, v in values.items()})

    def __contains__(self, key):
        return super().__contains__(key.lower())

    def __getitem__(self, key):
        return super().__getitem__(key.lower())

    def get(self, key, default=None):
        return super().get(key.lower(), default)


def registry_form(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {k: registry_form(v) for k, v in value.items() if k != "ResponseMetadata"}
    if isinstance(value, list):
        return [registry_form(v) for v in value]
    return value


def main():
    session, bad, count = botocore.session.Session(), 0, 0
    for case in json.load(open(FILE)):
        if ("--sqs-query" in sys.argv) != (case.get("protocol") == "query" and case["service"] == "sqs"):
            continue
        model = session.get_service_model(NAMES.get(case["service"], case["service"]))
        shape = model.operation_model(case["operation"]).output_shape
        wire = case["wire"]
        response = {"status_code": wire["status"], "headers": Headers(wire["headers"]), "body": wire["body"].encode()}
        parsed = create_parser(model.metadata["protocol"]).parse(response, shape)
        if "fault" in case:
            error = parsed["Error"]
            got = [error["Code"], error["Message"]]
            expected = [case.get("wire_code", case["fault"]["code"]), case["fault"]["message"]]
        else:
            got, expected = registry_form(parsed), case["output"]
            if case["operation"] == "Invoke":
                expected = dict(expected, Payload=got["Payload"])
                assert base64.b64decode(case["output"]["Payload"]) == response["body"]
        count += 1
        if got != expected:
            bad += 1
            print("DIFFERS", case["service"], case["operation"], "\n  got     ", got, "\n  expected", expected)
        if case["service"] != "rds-data" and not parsed["ResponseMetadata"].get("RequestId"):
            print("no request id:", case["service"], case["operation"])
    print(f"{count} answers, {bad} differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
