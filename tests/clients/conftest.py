"""A server of its own for the tests, and clients for it. STEPWELL_BIN names the binary."""
import os
import socket
import subprocess
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
BIN = os.environ.get("STEPWELL_BIN", str(ROOT / "target/debug/stepwell"))


class Server:
    def __init__(self, data):
        self.data = data
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([BIN, "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"],
                                        stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, "the server does not start"
                time.sleep(0.02)

    def kill(self):
        """As a power cut for the process: no signal handler runs."""
        self.process.kill()
        self.process.wait()

    def client(self, service):
        config = Config(inject_host_prefix=False, retries={"max_attempts": 1}, s3={"addressing_style": "path"})
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="test",
                            aws_secret_access_key="test", config=config)

    def cli(self, *words, cwd=ROOT, check=True):
        """The AWS CLI, as a person types it."""
        environment = dict(os.environ, AWS_ENDPOINT_URL=self.endpoint, AWS_ACCESS_KEY_ID="test",
                           AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="")
        done = subprocess.run(["aws", *words], cwd=cwd, env=environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"aws {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("data"))
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path):
    """For tests that end the server."""
    server = Server(tmp_path / "data")
    yield server
    server.kill()
