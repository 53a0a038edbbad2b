"""Every example of the documentation does what it says: definition, input, output or error lie side by side."""
import json
import time

import pytest
from conftest import ROOT

EXAMPLES = ROOT / "docs/examples"
NAMES = sorted(path.name.removesuffix(".asl.json") for path in EXAMPLES.glob("*.asl.json"))


@pytest.mark.parametrize("name", NAMES)
def test_example(server, name):
    states = server.client("stepfunctions")
    definition = (EXAMPLES / f"{name}.asl.json").read_text()
    assert states.validate_state_machine_definition(definition=definition)["diagnostics"] == []
    machine = states.create_state_machine(name=f"example-{name}", definition=definition,
                                          roleArn="arn:aws:iam::000000000000:role/example")["stateMachineArn"]
    objects = list(EXAMPLES.glob(f"{name}.*.csv"))
    if objects:
        s3 = server.client("s3")
        s3.create_bucket(Bucket=f"example-{name}")
        for path in objects:
            s3.put_object(Bucket=f"example-{name}", Key=path.name.removeprefix(f"{name}."), Body=path.read_bytes())
    started = states.start_execution(stateMachineArn=machine, input=(EXAMPLES / f"{name}.input.json").read_text())
    deadline = time.monotonic() + 60
    while (ended := states.describe_execution(executionArn=started["executionArn"]))["status"] == "RUNNING":
        assert time.monotonic() < deadline, f"{name} does not end"
        time.sleep(0.05)
    error = EXAMPLES / f"{name}.error.json"
    if error.exists():
        assert {key: ended.get(key) for key in ("error", "cause")} == json.loads(error.read_text())
    else:
        assert ended["status"] == "SUCCEEDED", f"{ended.get('error')}: {ended.get('cause')}"
        assert json.loads(ended["output"]) == json.loads((EXAMPLES / f"{name}.output.json").read_text())


def test_each_is_explained():
    page = (ROOT / "docs/state-machines.md").read_text()
    assert [name for name in NAMES if f"examples/{name}.asl.json" not in page] == []
