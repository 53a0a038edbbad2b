"""Writes crates/model/data: the names of AWS's services, operations and members, with their types.

    python3 crates/model/tools/generate.py

Reads the models of the installed botocore (Apache-2.0) and keeps names, types and what is required; no texts.
`operations.txt` knows every operation of every service; `<service>.json` the shapes of the services below.
"""
import glob
import gzip
import json
import os
import re

import botocore

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")

# Services whose shapes are kept, by their name in `aws-sdk:` resources; the words are operations, none means all.
SHAPES = {
    "athena": "", "batch": "", "cloudformation": "", "cloudwatch": "", "cloudwatchlogs": "", "dynamodb": "",
    "dynamodbstreams": "", "ecs": "RunTask StopTask DescribeTasks ListTasks", "eventbridge": "", "firehose": "",
    "glue": """CreateJob UpdateJob GetJob GetJobs ListJobs DeleteJob StartJobRun GetJobRun GetJobRuns BatchStopJobRun
        BatchGetJobs GetJobBookmark ResetJobBookmark TagResource UntagResource GetTags""",
    "iam": "", "kinesis": "", "kms": "", "lambda": "", "pipes": "", "rds": """CreateDBCluster DeleteDBCluster
        DescribeDBClusters ModifyDBCluster StartDBCluster StopDBCluster CreateDBInstance DeleteDBInstance
        DescribeDBInstances ModifyDBInstance StartDBInstance StopDBInstance RebootDBInstance AddTagsToResource
        ListTagsForResource RemoveTagsFromResource""",
    "rdsdata": "", "resourcegroupstaggingapi": "", "s3": "", "scheduler": "", "secretsmanager": "", "sfn": "",
    "sns": "", "sqs": "",
    "ssm": """PutParameter GetParameter GetParameters GetParametersByPath GetParameterHistory DeleteParameter
        DeleteParameters DescribeParameters LabelParameterVersion UnlabelParameterVersion AddTagsToResource
        ListTagsForResource RemoveTagsFromResource""",
    "sts": "",
}

SCALARS = {"string": "string", "character": "string", "integer": "integer", "long": "long", "float": "double",
           "double": "double", "boolean": "boolean", "timestamp": "timestamp", "blob": "blob"}


def models():
    base = os.path.join(os.path.dirname(botocore.__file__), "data")
    for folder in sorted(os.listdir(base)):
        files = sorted(glob.glob(f"{base}/{folder}/*/service-2.json*"))
        if files:
            with (gzip.open if files[-1].endswith("gz") else open)(files[-1], "rt") as file:
                yield json.load(file)


def resource_name(model):
    # Java's SDK leaves out what the service's id ends with: `config`, `databasemigration`.
    return re.sub(r"[ -]", "", model["metadata"]["serviceId"]).lower().removesuffix("service")


def action(operation):
    return operation[0].lower() + operation[1:]


def streams_events(model, operation):
    shapes = model["shapes"]
    return any(
        shapes[member["shape"]].get("eventstream")
        for side in ("input", "output") if side in operation
        for member in shapes[operation[side]["shape"]].get("members", {}).values())


class Kept:
    def __init__(self, model):
        self.model, self.shapes = model, {}

    def type(self, name):
        shape = self.model["shapes"][name]
        if shape.get("document"):
            return "document"
        if shape["type"] in SCALARS:
            return SCALARS[shape["type"]]
        self.keep(name)
        return name

    def keep(self, name):
        if name in self.shapes:
            return
        shape, kept = self.model["shapes"][name], {}
        self.shapes[name] = kept
        if shape["type"] == "list":
            kept["list"] = self.type(shape["member"]["shape"])
        elif shape["type"] == "map":
            kept["map"] = self.type(shape["value"]["shape"])
        else:
            kept["members"] = {member: self.type(of["shape"]) for member, of in shape["members"].items()}
            if shape.get("required"):
                kept["required"] = shape["required"]
            payload = shape.get("payload")
            if payload and self.model["shapes"][shape["members"][payload]["shape"]]["type"] == "blob":
                of = self.model["shapes"][shape["members"][payload]["shape"]]
                kept["payload"] = payload
                if of.get("streaming") or shape["members"][payload].get("streaming"):
                    kept["streams"] = True


def shapes(model, wanted):
    kept, operations = Kept(model), {}
    for name, operation in sorted(model["operations"].items()):
        if streams_events(model, operation) or wanted and name not in wanted:
            continue
        sides = [operation.get(side, {}).get("shape") for side in ("input", "output")]
        for shape in filter(None, sides):
            kept.keep(shape)
        operations[name] = sides
    errors = {}
    for name, shape in model["shapes"].items():
        if shape.get("exception") or shape.get("error"):
            errors[shape.get("error", {}).get("code", name)] = name
            errors[name] = name
    return {
        "service": model["metadata"]["serviceId"],
        "operations": operations,
        "shapes": dict(sorted(kept.shapes.items())),
        "errors": {code: name for code, name in sorted(errors.items())},
    }


def write(path, value):
    """One line a shape, so that a change of the model is a readable difference."""
    compact = lambda v: json.dumps(v, separators=(",", ":"))
    parts = [f' "service": {compact(value["service"])}']
    for section in ("operations", "shapes", "errors"):
        lines = ",\n".join(f"  {compact(k)}: {compact(v)}" for k, v in value[section].items())
        parts.append(f' "{section}": {{\n{lines}\n }}')
    with open(path, "w") as file:
        file.write("{\n" + ",\n".join(parts) + "\n}\n")


def main():
    names = {}
    for model in models():
        name = resource_name(model)
        operations = sorted(action(n) for n, o in model["operations"].items() if not streams_events(model, o))
        names[name] = (model["metadata"]["serviceId"], operations)
        if name in SHAPES:
            write(os.path.join(OUT, name + ".json"), shapes(model, SHAPES[name].split()))
    with open(os.path.join(OUT, "operations.txt"), "w") as file:
        for name, (service, operations) in sorted(names.items()):
            file.write(f"{name}\t{service}\t{' '.join(operations)}\n")


if __name__ == "__main__":
    main()
