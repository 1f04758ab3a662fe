"""An S3 service for the tests: moto over HTTP in a process of its own, and a proxy before it that does what networks do."""

import http.client
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config

from herald_pipelines.resources.object_store.s3_options import S3Options

# Ends with its standard input, so with the tests, however these end.
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
ACCESS_KEY = "AKIATESTTESTTEST"
SECRET_KEY = "secret/of+the/tests"


@dataclass(frozen=True)
class S3Server:
    """A running service."""

    port: int

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def options(self, **changes: object) -> S3Options:
        """Return how it is reached: impatiently."""
        fields = {
            "endpoint_url": self.endpoint_url,
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "connect_seconds": 2,
            "read_seconds": 20,
            "attempts": 3,
        }
        return S3Options(**{**fields, **changes})  # pyright: ignore[reportArgumentType]

    @cache  # noqa: B019 - there is one server
    def client(self):
        """Return a client of its own, for what a store does not show."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}),
        )

    def create_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name


@contextmanager
def running_s3_server() -> Generator[S3Server]:
    """Yield an S3 service without any bucket."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield S3Server(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=60)


@dataclass
class Fault:
    """What becomes of a request. Each field is a thing that happens to it, in this order."""

    cut_request_after: int | None = None
    """Bytes of its body that are read before the connection is closed."""
    status: int | None = None
    """Answered by the proxy itself."""
    body: str = ""
    passes_on: bool = True
    loses_answer: bool = False
    """The service has done it, and nobody hears of that."""
    delay_seconds: float = 0
    cut_answer_after: int | None = None
    """Bytes of the answer's body."""


@dataclass
class S3Proxy:
    """Passes requests on to a service; `fault` says for each whether something happens to it."""

    server: S3Server
    port: int = 0
    fault: Callable[[str, str], Fault | None] = lambda _method, _path: None
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def seen(self) -> S3Server:
        """Return the service as it is seen through the proxy."""
        return S3Server(self.port)

    def times(self, count: int, method: str, part: str, fault: Fault) -> None:
        """Let the next requests of a method, whose path and query hold a text, meet a fault."""
        left = [count]

        def decide(seen_method: str, path: str) -> Fault | None:
            if seen_method != method or part not in path or left[0] == 0:
                return None
            left[0] -= 1
            return fault

        self.fault = decide


def _make_handler(proxy: S3Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def pass_on(self) -> None:
            proxy.requests.append((self.command, self.path))
            fault = proxy.fault(self.command, self.path) or Fault()
            length = int(self.headers.get("Content-Length") or 0)
            if fault.cut_request_after is not None:
                self.rfile.read(min(length, fault.cut_request_after))
                self.close_connection = True
                return
            body = self.rfile.read(length)
            if fault.delay_seconds and not fault.passes_on:
                time.sleep(fault.delay_seconds)
            if fault.status is not None:
                self.answer(fault.status, [("Content-Type", "application/xml")], fault.body.encode(), None)
                return
            if not fault.passes_on:
                self.close_connection = True
                return
            status, headers, answer = self.ask(body)
            time.sleep(fault.delay_seconds)
            if fault.loses_answer:
                self.close_connection = True
                return
            self.answer(status, headers, answer, fault.cut_answer_after)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

        def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.server.port, timeout=60)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                return response.status, response.getheaders(), response.read()
            finally:
                connection.close()

        def answer(
            self, status: int, headers: list[tuple[str, str]], body: bytes, cut_after: int | None
        ) -> None:
            self.send_response_only(status)
            length = str(len(body))
            for name, value in headers:
                if name.lower() == "content-length":
                    length = value
                elif name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body[:cut_after])
            if cut_after is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


@contextmanager
def running_s3_proxy(server: S3Server) -> Generator[S3Proxy]:
    """Yield a proxy before a service; it passes everything on at first."""
    proxy = S3Proxy(server)
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(proxy))
    listener.daemon_threads = True
    proxy.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()
