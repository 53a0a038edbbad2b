#!/usr/bin/env python3
"""kill -9 at random moments under a running Map Run: every row has one child, no result is lost.

    pip install boto3
    cargo build --release
    python tests/durability/map_run_kills.py --binary target/release/stepwell --items 2000 --kills 5 --seed 1

Puts a CSV file into a bucket of a server of its own and starts a machine whose Map state reads it, with Standard and then
with Express children that wait a second. Kills and restarts the server while children run. Counts at the end: the Map
Run's counts, the children, their histories, the exported results. Prints what it counted; exit code 1 if anything is
amiss.
"""
import argparse
import concurrent.futures as cf
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from assessmax_kills import ROOT, Server  # noqa: E402

ROLE = "arn:aws:iam::000000000000:role/r"


def definition(kind, concurrency):
    child = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}, "StartAt": "Wait", "States": {
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Done"}, "Done": {"Type": "Pass", "End": True}}}
    return {"StartAt": "Rows", "States": {"Rows": {
        "Type": "Map", "Label": "Rows", "ItemProcessor": child, "MaxConcurrency": concurrency, "End": True,
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "rows", "Key": "rows.csv"},
                       "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "rows", "Prefix": kind}}}}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/stepwell"))
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wait", type=float, default=300, help="seconds until a Map Run must have ended")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    server = Server(args.binary, str(Path(tempfile.mkdtemp(prefix="stepwell-map-run-")) / "data"))
    server.start()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="rows")
    rows = "".join(f"{n},name-{n}\n" for n in range(args.items))
    s3.put_object(Bucket="rows", Key="rows.csv", Body=("id,name\n" + rows).encode())
    problems = []
    for kind in ("STANDARD", "EXPRESS"):
        problems += [f"{kind}: {problem}" for problem in run(server, kind, args, chance)]
    for problem in problems[:40]:
        print("PROBLEM", problem)
    server.kill()
    print(f"{args.items} items of each kind, {args.kills} kills each: {len(problems)} problems")
    sys.exit(bool(problems))


def run(server, kind, args, chance):
    states = server.client("stepfunctions")
    text = json.dumps(definition(kind, args.concurrency))
    machine = states.create_state_machine(name=f"rows-{kind}", definition=text, roleArn=ROLE)["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine, name="e", input="{}")["executionArn"]
    begun, killed = time.monotonic(), 0
    while states.describe_execution(executionArn=execution)["status"] == "RUNNING":
        if time.monotonic() - begun > args.wait:
            return ["the execution still runs"]
        time.sleep(chance.uniform(0.1, 1.5))
        if killed < args.kills:
            done = counts(states, execution)
            server.kill()
            server.start()
            killed += 1
            print(f"{kind}: kill {killed} with {done}, back after {server.restarts[-1] * 1000:.0f} ms", flush=True)
    print(f"{kind}: ended after {time.monotonic() - begun:.1f} s and {killed} kills", flush=True)
    problems = check(server, states, kind, execution, args.items)
    return problems + ([f"only {killed} kills came in time"] if killed < args.kills else [])


def counts(states, execution):
    runs = states.list_map_runs(executionArn=execution)["mapRuns"]
    if not runs:
        return "nothing"
    found = states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["executionCounts"]
    return f"{found['succeeded']} ended, {found['running']} running"


def check(server, states, kind, execution, items):
    problems, s3 = [], server.client("s3")
    description = states.describe_execution(executionArn=execution)
    if description["status"] != "SUCCEEDED":
        return [f"the execution is {description['status']}: {description.get('error')} {description.get('cause')}"]
    runs = states.list_map_runs(executionArn=execution)["mapRuns"]
    if len(runs) != 1:
        problems.append(f"{len(runs)} Map Runs")
    arn = runs[0]["mapRunArn"]
    found = states.describe_map_run(mapRunArn=arn)
    for name in ("itemCounts", "executionCounts"):
        got = {k: found[name][k] for k in ("total", "succeeded", "failed", "timedOut", "aborted", "running", "resultsWritten")}
        if got != dict(total=items, succeeded=items, failed=0, timedOut=0, aborted=0, running=0, resultsWritten=items):
            problems.append(f"{name}: {got}")
    details = json.loads(description["output"])["ResultWriterDetails"]
    read = lambda key: json.loads(s3.get_object(Bucket=details["Bucket"], Key=key)["Body"].read())  # noqa: E731
    results = [r for f in read(details["Key"])["ResultFiles"]["SUCCEEDED"] for r in read(f["Key"])]
    ids = [int(json.loads(r["Output"])["id"]) for r in results]
    if ids != list(range(items)):
        problems.append(f"{len(ids)} results, {len(set(ids))} different, in order: {ids == sorted(ids)}")
    if kind == "STANDARD":
        problems += check_children(states, arn, items)
    return problems


def check_children(states, arn, items):
    pages = states.get_paginator("list_executions").paginate(mapRunArn=arn, PaginationConfig={"PageSize": 1000})
    children = [e["executionArn"] for page in pages for e in page["executions"]]
    wanted = ["ExecutionStarted", "WaitStateEntered", "WaitStateExited", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]

    def row(child):
        events = [e["type"] for e in states.get_execution_history(executionArn=child)["events"]]
        return int(json.loads(states.describe_execution(executionArn=child)["input"])["id"]), events == wanted

    with cf.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(row, children))
    problems = [] if sorted(i for i, _ in found) == list(range(items)) else [f"{len(found)} children of {len({i for i, _ in found})} rows"]
    broken = sum(not whole for _, whole in found)
    return problems + ([f"{broken} histories are not as they must be"] if broken else [])


if __name__ == "__main__":
    main()
