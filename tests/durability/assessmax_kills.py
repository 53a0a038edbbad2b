#!/usr/bin/env python3
"""kill -9 at random moments under running AssessMax jobs: all jobs end, none twice, no row lost.

    pip install boto3
    cargo build --release
    python tests/durability/assessmax_kills.py --binary target/release/stepwell --jobs 500 --rounds 20 --seed 1

Deploys the pipeline to a server of its own, starts the jobs, kills and restarts the server, and counts at the end:
executions, their histories, job rows, published rows, scores. Prints what it counted; exit code 1 if anything is amiss.
"""
import argparse
import collections
import concurrent.futures as cf
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ROOT / "pipelines/assessmax"


class Server:
    def __init__(self, binary, data):
        self.binary, self.data = binary, data
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = open(Path(data).parent / "server.log", "ab")
        self.process, self.restarts = None, []

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen([self.binary, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"],
                                        stderr=self.log)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                self.client("stepfunctions").list_state_machines()
                self.restarts.append(time.monotonic() - begun)
                return
            except (OSError, BotoCoreError, ClientError):
                if self.process.poll() is not None or time.monotonic() - begun > 60:
                    sys.exit(f"the server does not start; see {self.log.name}")
                time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def client(self, service):
        config = Config(retries={"max_attempts": 8, "mode": "standard"}, s3={"addressing_style": "path"}, max_pool_connections=32)
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="test",
                            aws_secret_access_key="test", config=config)


def sample():
    jobs = json.loads((PIPELINE / "data/sample/jobs.json").read_text())
    return [(j, (PIPELINE / "data/sample" / j["input_key"]).read_bytes()) for j in jobs]


def make_jobs(count):
    """Copies of the sample under names of their own, ten to a class."""
    originals = sample()
    for n in range(count):
        original, content = originals[n % len(originals)]
        class_id, date = f"class-{1000 + n // 10}", f"2024-02-{n % 10 + 1:02d}"
        name = original["input_key"].rsplit("/", 1)[1]
        yield dict(original, job_id=f"load-{n}", class_id=class_id, date=date, input_key=f"raw/{class_id}/{date}/{name}"), content, original


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/stepwell"))
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wait", type=float, default=900, help="seconds until everything must have ended")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    folder = tempfile.mkdtemp(prefix="stepwell-kills-")
    server = Server(args.binary, str(Path(folder) / "data"))
    server.start()
    deployed = subprocess.run([args.binary, "--json", "deploy", str(PIPELINE / "template.yaml"), "--stack-name", "assessmax-dev",
                               "--parameter-overrides", "Environment=dev", "--endpoint-url", server.endpoint],
                              capture_output=True, text=True)
    if deployed.returncode:
        sys.exit(deployed.stderr)
    outputs = json.loads(deployed.stdout)["Outputs"]
    jobs = list(make_jobs(args.jobs))
    s3, states = server.client("s3"), server.client("stepfunctions")
    with cf.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda j: s3.put_object(Bucket=outputs["RawBucketName"], Key=j[0]["input_key"], Body=j[1]), jobs))

    def start(job):
        return states.start_execution(stateMachineArn=outputs["StateMachineArn"], name=job["job_id"], input=json.dumps(job))["executionArn"]

    begun = time.monotonic()
    with cf.ThreadPoolExecutor(8) as pool:
        arns = list(pool.map(start, (j for j, _, _ in jobs)))
    print(f"{len(arns)} jobs started in {time.monotonic() - begun:.1f} s", flush=True)

    def running():
        pages = states.get_paginator("list_executions").paginate(
            stateMachineArn=outputs["StateMachineArn"], statusFilter="RUNNING", PaginationConfig={"PageSize": 1000})
        return sum(len(p["executions"]) for p in pages)

    for number in range(args.rounds):
        time.sleep(chance.uniform(0.2, 3.0))
        open_jobs = running()
        server.kill()
        server.start()
        print(f"round {number + 1}: killed with {open_jobs} running, back after {server.restarts[-1] * 1000:.0f} ms", flush=True)
    deadline = time.monotonic() + args.wait
    while left := running():
        if time.monotonic() > deadline:
            print(f"STUCK: {left} executions still run")
            break
        time.sleep(0.5)
    print(f"all ended after {time.monotonic() - begun:.0f} s, {args.rounds} kills included", flush=True)
    problems = check(server, outputs, jobs, arns)
    for problem in problems[:40]:
        print("PROBLEM", problem)
    server.kill()
    median = sorted(server.restarts[1:])[len(server.restarts[1:]) // 2] if server.restarts[1:] else 0
    print(f"{args.jobs} jobs, {args.rounds} kills, restart {median * 1000:.0f} ms (median): {len(problems)} problems")
    sys.exit(bool(problems))


def check(server, outputs, jobs, arns):
    problems = []
    states = server.client("stepfunctions")
    listed = [e for p in states.get_paginator("list_executions").paginate(
        stateMachineArn=outputs["StateMachineArn"], PaginationConfig={"PageSize": 1000}) for e in p["executions"]]
    if len(listed) != len(jobs):
        problems.append(f"{len(listed)} executions of {len(jobs)} jobs")

    def history(arn):
        events = [e for p in states.get_paginator("get_execution_history").paginate(
            executionArn=arn, PaginationConfig={"PageSize": 1000}) for e in p["events"]]
        found = []
        if [e["id"] for e in events] != list(range(1, len(events) + 1)):
            found.append(f"{arn}: ids have gaps")
        if events[-1]["type"] != "ExecutionSucceeded":
            details = events[-1].get("executionFailedEventDetails", {})
            found.append(f"{arn}: {events[-1]['type']} {details.get('error')} {details.get('cause', '')[:300]}")
        entered = collections.Counter(e["stateEnteredEventDetails"]["name"] for e in events
                                      if "stateEnteredEventDetails" in e and e["previousEventId"] in (0,) or
                                      e["type"] in ("MapStateEntered",))
        if any(n > 1 for n in entered.values()):
            found.append(f"{arn}: states entered twice: {entered}")
        ends = collections.Counter(e["previousEventId"] for e in events if e["type"] in ("TaskSucceeded", "TaskFailed", "TaskTimedOut"))
        if any(n > 1 for n in ends.values()):
            found.append(f"{arn}: a task ended twice")
        return found

    with cf.ThreadPoolExecutor(8) as pool:
        for found in pool.map(history, arns):
            problems += found
    rows = {i["job_id"]["S"]: i for p in server.client("dynamodb").get_paginator("scan").paginate(TableName=outputs["JobsTableName"])
            for i in p["Items"]}
    for job, _, _ in jobs:
        status = rows.get(job["job_id"], {}).get("status", {}).get("S")
        if status != "SUCCEEDED":
            problems.append(f"job row of {job['job_id']}: {status}")
    if len(rows) != len(jobs):
        problems.append(f"{len(rows)} job rows of {len(jobs)} jobs")
    s3 = server.client("s3")
    scores = collections.Counter(o["Key"].split("/")[3] for p in s3.get_paginator("list_objects_v2").paginate(
        Bucket=outputs["OutputsBucketName"], Prefix="scores/") for o in p.get("Contents", []))
    published = sql_counts(server, outputs)
    expected = {}
    for job, _, original in jobs:
        got = (scores[job["job_id"]], published[job["job_id"]])
        # Copies of one transcript have the same students and skills.
        if got != expected.setdefault(original["job_id"], got) or 0 in got:
            problems.append(f"{job['job_id']}: scores and rows {got}, others of the same transcript {expected[original['job_id']]}")
    sqs = server.client("sqs")
    for name in ("ScoringQueueUrl", "ScoringDeadLetterQueueUrl"):
        counts = sqs.get_queue_attributes(QueueUrl=outputs[name], AttributeNames=["All"])["Attributes"]
        if counts["ApproximateNumberOfMessages"] != "0":
            problems.append(f"{name} holds {counts['ApproximateNumberOfMessages']} messages")
    print(f"checked {len(listed)} histories, {len(rows)} job rows, {sum(scores.values())} scores, {sum(published.values())} published rows")
    return problems


def sql_counts(server, outputs):
    cluster, secret = outputs.get("DatabaseArn"), outputs.get("DatabaseSecretArn")
    found = server.client("rds-data").execute_statement(
        resourceArn=cluster, secretArn=secret, database=outputs.get("DatabaseName", "assessmax"),
        sql="SELECT job_id, COUNT(*) FROM assessmax_scores GROUP BY job_id")["records"]
    return collections.Counter({job["stringValue"]: n["longValue"] for job, n in found})


if __name__ == "__main__":
    main()
