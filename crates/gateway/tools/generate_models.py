"""Writes crates/gateway/models/*.json: what the wire protocols need to know of AWS's service models.

    python3 crates/gateway/tools/generate_models.py

Reads the models of the installed botocore (Apache-2.0) and keeps names, types and places of members; no texts.
To add a service or an operation, change the tables below and run it again. docs: models/README.md
"""
import glob
import gzip
import json
import os

import botocore

OUT = os.path.join(os.path.dirname(__file__), "..", "models")

# file name = id of the service in `service::Registry`: (botocore's name, operations or None for all)
SERVICES = {
    "cloudformation": ("cloudformation", """
        CancelUpdateStack ContinueUpdateRollback CreateChangeSet CreateStack DeleteChangeSet DeleteStack
        DescribeAccountLimits DescribeChangeSet DescribeChangeSetHooks DescribeEvents DescribeStackEvents
        DescribeStackResource DescribeStackResources DescribeStacks DescribeType EstimateTemplateCost
        ExecuteChangeSet GetStackPolicy GetTemplate GetTemplateSummary ListChangeSets ListExports ListImports
        ListStackResources ListStacks ListStackSets ListTypes RollbackStack SetStackPolicy SignalResource
        UpdateStack UpdateTerminationProtection ValidateTemplate""".split()),
    "dynamodb": ("dynamodb", []),
    "dynamodbstreams": ("dynamodbstreams", []),
    "events": ("events", []),
    "firehose": ("firehose", []),
    "glue": ("glue", []),
    "iam": ("iam", """
        AddRoleToInstanceProfile AddUserToGroup AttachGroupPolicy AttachRolePolicy AttachUserPolicy
        CreateAccessKey CreateGroup CreateInstanceProfile CreatePolicy CreatePolicyVersion CreateRole
        CreateServiceLinkedRole CreateUser DeleteAccessKey DeleteGroup DeleteGroupPolicy DeleteInstanceProfile
        DeletePolicy DeletePolicyVersion DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DeleteUser
        DeleteUserPolicy DetachGroupPolicy DetachRolePolicy DetachUserPolicy GetAccountSummary GetGroup
        GetGroupPolicy GetInstanceProfile GetPolicy GetPolicyVersion GetRole GetRolePolicy GetUser GetUserPolicy
        ListAccessKeys ListAccountAliases ListAttachedGroupPolicies ListAttachedRolePolicies
        ListAttachedUserPolicies ListEntitiesForPolicy ListGroupPolicies ListGroups ListGroupsForUser
        ListInstanceProfiles ListInstanceProfilesForRole ListPolicies ListPolicyTags ListPolicyVersions
        ListRolePolicies ListRoleTags ListRoles ListUserPolicies ListUserTags ListUsers PutGroupPolicy
        PutRolePermissionsBoundary PutRolePolicy PutUserPolicy RemoveRoleFromInstanceProfile
        RemoveUserFromGroup SetDefaultPolicyVersion SimulateCustomPolicy SimulatePrincipalPolicy TagPolicy
        TagRole TagUser UntagPolicy UntagRole UntagUser UpdateAccessKey UpdateAssumeRolePolicy UpdateRole
        UpdateRoleDescription UpdateUser""".split()),
    "kinesis": ("kinesis", []),
    "kms": ("kms", []),
    "lambda": ("lambda", None),
    "logs": ("logs", []),
    "monitoring": ("cloudwatch", None),
    "pipes": ("pipes", None),
    "rds": ("rds", """
        AddTagsToResource CreateDBCluster CreateDBInstance DeleteDBCluster DeleteDBInstance DescribeDBClusters
        DescribeDBInstances EnableHttpEndpoint ListTagsForResource ModifyDBCluster
        RemoveTagsFromResource""".split()),
    "rds-data": ("rds-data", None),
    "scheduler": ("scheduler", None),
    "secretsmanager": ("secretsmanager", []),
    "sns": ("sns", None),
    "sqs": ("sqs", None),
    "ssm": ("ssm", []),
    "states": ("stepfunctions", []),
    "sts": ("sts", None),
    "tagging": ("resourcegroupstaggingapi", []),
}

# What the models do not say: the prefix of error types in AWS's own answers.
ERROR_PREFIX = {
    "dynamodb": "com.amazonaws.dynamodb.v20120810#",
    "dynamodbstreams": "com.amazonaws.dynamodb.v20120810#",
    "sqs": "com.amazonaws.sqs#",
}

# SQS's model speaks JSON alone today; these are the element names of its Query protocol, from the API reference.
SQS_NAMES = {
    "AWSAccountIds": "AWSAccountId", "Actions": "ActionName", "AttributeNames": "AttributeName",
    "Attributes": "Attribute", "BinaryListValues": "BinaryListValue",
    "MessageAttributeNames": "MessageAttributeName", "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "MessageSystemAttributes": "MessageSystemAttribute", "Messages": "Message", "QueueUrls": "QueueUrl",
    "Results": "ListMessageMoveTasksResultEntry", "StringListValues": "StringListValue", "TagKeys": "TagKey",
    "Tags": "Tag", "queueUrls": "QueueUrl", "tags": "Tag", "Failed": "BatchResultErrorEntry",
}
SQS_MAP_NAMES = {"Tags": ("Key", "Value"), "tags": ("Key", "Value")}
SQS_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"

SCALARS = {"string", "integer", "long", "float", "double", "boolean", "timestamp", "blob"}
SCALAR_NAMES = {"long": "integer", "float": "double", "bigdecimal": "double", "character": "string"}


def load(name):
    path = sorted(glob.glob(f"{os.path.dirname(botocore.__file__)}/data/{name}/*/service-2.json*"))[-1]
    opened = gzip.open(path) if path.endswith("gz") else open(path, "rb")
    with opened as file:
        return json.load(file)


def scalar(shape):
    kind = shape["type"]
    return SCALAR_NAMES.get(kind, kind) if kind in SCALARS or kind in SCALAR_NAMES else None


class QueryShapes:
    """The shapes that a set of operations reaches, each once."""

    def __init__(self, service, model):
        self.service, self.model, self.shapes = service, model, {}

    def add(self, name):
        shape = self.model["shapes"][name]
        if scalar(shape):
            return scalar(shape)
        if name not in self.shapes:
            self.shapes[name] = None
            self.shapes[name] = self.describe(shape)
        return name

    def describe(self, shape):
        if shape["type"] == "structure":
            return {"structure": {m: self.member(m, v) for m, v in shape["members"].items()}}
        if shape["type"] == "list":
            member = shape["member"]
            out = {"list": self.add(member["shape"]), "name": member.get("locationName", "member")}
        else:
            key, value = shape["key"], shape["value"]
            out = {"map": self.add(value["shape"]), "key": key.get("locationName", "key"),
                   "value": value.get("locationName", "value")}
        if shape.get("flattened"):
            out["flat"] = True
        return out

    def member(self, name, member):
        target = self.model["shapes"][member["shape"]]
        wire = member.get("locationName", name)
        out = self.add(member["shape"])
        if target["type"] == "list" and target.get("flattened"):
            wire = target["member"].get("locationName", wire)
        if self.service == "sqs":
            wire = SQS_NAMES.get(name, wire)
            if name == "Entries":
                wire = target["member"]["shape"]
            elif name == "Successful":
                wire = target["member"]["shape"]
            if target["type"] == "map":
                key, value = SQS_MAP_NAMES.get(name, ("Name", "Value"))
                self.shapes[out]["key"], self.shapes[out]["value"] = key, value
        return out if wire == name else [out, wire]


def query(service, model, operations, entry):
    shapes = QueryShapes(service, model)
    for name in operations:
        op = model["operations"][name]
        out = {}
        for key in ("input", "output"):
            if key in op:
                shape = op[key]["shape"]
                if model["shapes"][shape]["members"] or key == "output":
                    out[key] = shapes.add(shape)
        if "output" in op:
            out["wrapper"] = op["output"].get("resultWrapper", name + "Result")
        entry["operations"][name] = out
    entry["shapes"] = dict(sorted(shapes.shapes.items()))


def binding(model, member, name):
    shape = model["shapes"][member["shape"]]
    kind = scalar(shape) or shape["type"]
    if shape["type"] == "list":
        kind = "list"
    place = {"uri": "label", "querystring": "query", "header": "header", "headers": "headers",
             "statusCode": "status"}[member["location"]]
    return [place, member.get("locationName", name), kind]


def rest(model, operations, entry):
    for name in operations:
        op = model["operations"][name]
        out = {"method": op["http"]["method"], "path": op["http"]["requestUri"]}
        if op["http"].get("responseCode", 200) != 200:
            out["status"] = op["http"]["responseCode"]
        for key in ("input", "output"):
            if key not in op:
                continue
            shape = model["shapes"][op[key]["shape"]]
            bound = {}
            for m, v in shape["members"].items():
                if "location" in v:
                    bound[m] = binding(model, v, m)
                elif m == shape.get("payload"):
                    kind = model["shapes"][v["shape"]]
                    bound[m] = ["payload", m, scalar(kind) or kind["type"]]
                else:
                    assert v.get("locationName", m) == m, (name, m)
            if bound:
                out[key] = bound
            if key == "output" and not (set(shape["members"]) - set(bound)) and not shape.get("payload"):
                out["empty"] = True
        if "output" not in op:
            out["empty"] = True
        entry["operations"][name] = out


def errors(model, entry):
    """Wire codes that differ from the shape's name, and who spells `Message` in which way."""
    lower, upper, codes = [], [], {}
    for name, shape in sorted(model["shapes"].items()):
        if not shape.get("exception"):
            continue
        code = shape.get("error", {}).get("code", name)
        if code != name:
            codes[name] = code
        if "message" in shape["members"]:
            lower.append(name)
        elif "Message" in shape["members"]:
            upper.append(name)
    if len(upper) > len(lower):
        entry["message"], rest_of = "Message", lower
    else:
        entry["message"], rest_of = "message", upper
    if sum("Type" in model["shapes"][name]["members"] for name in lower + upper) > len(lower + upper) / 2:
        entry["error_type"] = True
    if rest_of:
        entry["other_message"] = rest_of
    if codes:
        entry["query_codes"] = codes


def describe(service, name, wanted):
    model = load(name)
    meta = model["metadata"]
    protocols = meta.get("protocols") or [meta["protocol"]]
    signing = {meta.get("signingName") or meta["endpointPrefix"], meta["endpointPrefix"]}
    entry = {"id": service, "signing_names": sorted(signing)}
    if "targetPrefix" in meta and "json" in protocols:
        entry["json"] = {"target": meta["targetPrefix"], "version": meta["jsonVersion"]}
        if service in ERROR_PREFIX:
            entry["json"]["error_prefix"] = ERROR_PREFIX[service]
        if "awsQueryCompatible" in meta:
            entry["json"]["query_errors"] = True
    if "query" in protocols or service == "sqs":
        entry["query"] = {"version": meta["apiVersion"], "namespace": meta.get("xmlNamespace", SQS_NAMESPACE)}
    elif "rest-json" in protocols:
        entry["rest"] = True
    errors(model, entry)
    operations = sorted(model["operations"]) if wanted is None else wanted
    entry["operations"] = {}
    if "query" in entry:
        query(service, model, operations, entry)
    elif "rest" in entry:
        rest(model, operations, entry)
    return entry


def write(entry, file):
    """One line an operation or shape, so that changes can be read."""
    file.write("{\n")
    items = list(entry.items())
    for i, (key, value) in enumerate(items):
        comma = "," if i + 1 < len(items) else ""
        if key in ("operations", "shapes") and value:
            file.write(f' "{key}": {{\n')
            lines = [f"  {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in value.items()]
            file.write(",\n".join(lines) + "\n }" + comma + "\n")
        else:
            file.write(f' "{key}": {json.dumps(value)}{comma}\n')
    file.write("}\n")


def main():
    for service, (name, wanted) in SERVICES.items():
        with open(os.path.join(OUT, f"{service}.json"), "w") as file:
            write(describe(service, name, wanted), file)
    with open(os.path.join(OUT, "README.md"), "w") as file:
        file.write(README.format(version=botocore.__version__))


README = """# Wire models

Written by `tools/generate_models.py` from the service models of botocore {version} (Apache-2.0, Amazon.com); do not edit.
One file a service, named by its id in the operation registry: how its requests are recognised and, for the Query and
REST-JSON protocols, where each member travels. `src/model.rs` reads them. `stepwell.json`, for the calls of our own
command line, is written by hand.
"""

if __name__ == "__main__":
    main()
