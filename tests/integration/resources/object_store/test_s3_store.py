"""What can happen to a store in a bucket."""

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.object_store import s3_download, s3_upload
from herald_pipelines.resources.object_store.base import (
    MARKER,
    ObjectExists,
    ObjectMissing,
    StoreRefused,
    StoreUnavailable,
)
from herald_pipelines.resources.object_store.s3_store import S3Store
from s3_server import SECRET_KEY, Fault, S3Proxy, S3Server, running_s3_proxy

PART = 8 * 1024 * 1024
CONTENT = bytes(range(251)) * 40_000  # a part and some more
ALWAYS = 10**9
WRITER = """
import sys
from pathlib import Path
from herald_pipelines.resources.object_store.open_store import open_store
from s3_server import S3Server
store = open_store(sys.argv[1], S3Server(int(sys.argv[2])).options(), work_folder=Path(sys.argv[3]))
"""
ENDLESS = """
with store.upload("a/b") as upload:
    for _ in range(90):
        upload.write(b"x" * 100_000)
    print("begun", flush=True)
    while True:
        upload.write(b"x" * 100_000)
"""
LARGE = """
def most_kib():
    # ru_maxrss would begin with that of whoever started us
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))

store.put("warm", b"x")
with store.upload("warm") as upload:
    upload.write(b"x" * 100)
    upload.complete()
before = most_kib()
with store.upload("a") as upload:
    for _ in range(800):
        upload.write(b"x" * 256 * 1024)
    upload.complete()
print(most_kib() - before)
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_download, "_PAUSE_SECONDS", 0.01)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[S3Proxy]:
    with running_s3_proxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.create_bucket()


@pytest.fixture
def plain(s3_server: S3Server, bucket: str, tmp_path: Path) -> S3Store:
    """Give the store without a proxy before it."""
    store = S3Store(bucket, "p", s3_server.options(), work_folder=tmp_path)
    store.prepare()
    return store


@pytest.fixture
def make(proxy: S3Proxy, bucket: str, plain: S3Store, tmp_path: Path) -> Callable[..., S3Store]:
    """Give what makes the store as it is seen through the proxy."""

    def made(**changes: object) -> S3Store:
        store = S3Store(bucket, "p", proxy.seen.options(**changes), work_folder=tmp_path)
        store.check()
        proxy.requests.clear()
        return store

    return made


@pytest.fixture
def store(make: Callable[..., S3Store]) -> S3Store:
    return make()


def write(store: S3Store, key: str, content: bytes) -> None:
    with store.upload(key) as upload:
        upload.write(content)
        upload.complete()


def get(store: S3Store, key: str) -> bytes:
    return store.get(key, most_bytes=10**9)


def keys(store: S3Store) -> list[str]:
    return [each.key for each in store.list("")]


def error(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>Said by the service.</Message></Error>"


def count(proxy: S3Proxy, method: str, part: str) -> int:
    return len([path for seen, path in proxy.requests if seen == method and part in path])


def nothing_is_left(plain: S3Store) -> bool:
    return keys(plain) == [] and plain.abandon_uploads("") == 0


PASSING = [
    Fault(status=500, body=error("InternalError")),
    Fault(status=503, body=error("SlowDown")),
    Fault(status=502, body="<html>Bad gateway</html>"),
    Fault(cut_request_after=1_000_000),
    Fault(loses_answer=True),
    Fault(passes_on=False, delay_seconds=3),
]
NAMES = ["500", "slow down", "bad gateway", "cut off", "answer lost", "too slow"]


@pytest.mark.parametrize("fault", PASSING, ids=NAMES)
@pytest.mark.parametrize("request_of", [("POST", "uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId=")])
def test_an_upload_gets_over_what_passes(
    make: Callable[..., S3Store], proxy: S3Proxy, plain: S3Store, fault: Fault, request_of: tuple[str, str]
) -> None:
    store = make(read_seconds=2)
    proxy.times(1, *request_of, fault)
    write(store, "a", CONTENT)
    assert count(proxy, *request_of) == 2
    assert get(plain, "a") == CONTENT
    assert keys(plain) == ["a"]


@pytest.mark.parametrize("fault", PASSING, ids=NAMES)
def test_a_put_gets_over_what_passes(
    make: Callable[..., S3Store], proxy: S3Proxy, plain: S3Store, fault: Fault
) -> None:
    store = make(read_seconds=2)
    proxy.times(1, "PUT", "/p/a", fault)
    store.put("a", CONTENT[:5_000_000], replace=False)
    assert count(proxy, "PUT", "/p/a") == 2
    assert get(plain, "a") == CONTENT[:5_000_000]
    with pytest.raises(ObjectExists):
        store.put("a", b"another", replace=False)


@pytest.mark.parametrize("fault", [each for each in PASSING if not each.loses_answer])
@pytest.mark.parametrize("request_of", [("POST", "uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId=")])
def test_an_upload_ends_when_it_does_not_pass(
    make: Callable[..., S3Store], proxy: S3Proxy, plain: S3Store, fault: Fault, request_of: tuple[str, str]
) -> None:
    store = make(read_seconds=1, attempts=2)
    proxy.times(ALWAYS, *request_of, fault)
    with pytest.raises(StoreUnavailable, match="p/a cannot be written"):
        write(store, "a", CONTENT)
    assert count(proxy, *request_of) == 2
    assert nothing_is_left(plain)


def test_an_upload_whose_completion_nobody_hears_of_is_there(
    make: Callable[..., S3Store], proxy: S3Proxy, plain: S3Store
) -> None:
    plain.put("a", b"old")
    store = make(attempts=2)
    proxy.times(ALWAYS, "POST", "uploadId=", Fault(loses_answer=True))
    write(store, "a", CONTENT)
    assert get(plain, "a") == CONTENT


def test_an_upload_whose_completion_nobody_knows_of_fails(
    make: Callable[..., S3Store], proxy: S3Proxy, plain: S3Store
) -> None:
    store = make(attempts=2)
    proxy.fault = lambda method, path: (
        Fault(loses_answer=True) if method == "HEAD" or (method == "POST" and "uploadId=" in path) else None
    )
    with pytest.raises(StoreUnavailable):
        write(store, "a", CONTENT)
    assert get(plain, "a") == CONTENT  # whole, if it is there


def test_an_old_object_is_not_taken_for_the_new_one(
    make: Callable[..., S3Store], proxy: S3Proxy, plain: S3Store
) -> None:
    plain.put("a", CONTENT)
    store = make(attempts=2)
    for method, part, content in (("POST", "uploadId=", CONTENT), ("PUT", "/p/a", b"x")):
        proxy.times(ALWAYS, method, part, Fault(passes_on=False))
        with pytest.raises(StoreUnavailable):
            write(store, "a", content)


def test_completion_that_is_answered_with_an_error_in_its_body(
    store: S3Store, proxy: S3Proxy, plain: S3Store
) -> None:
    proxy.times(ALWAYS, "POST", "uploadId=", Fault(status=200, body=error("InternalError")))
    with pytest.raises(StoreUnavailable, match="InternalError"):
        write(store, "a", CONTENT)
    assert nothing_is_left(plain)


def test_an_upload_that_somebody_else_gave_up(store: S3Store, proxy: S3Proxy, plain: S3Store) -> None:
    # The service of the tests answers 500 here; Amazon's says what it is.
    proxy.times(ALWAYS, "PUT", "partNumber=", Fault(status=404, body=error("NoSuchUpload")))
    with store.upload("a") as upload:
        upload.write(CONTENT)
        assert plain.abandon_uploads("") == 1
        with pytest.raises(StoreUnavailable, match="somebody else gave the upload up"):
            upload.complete()
    assert nothing_is_left(plain)


def test_a_failed_part_stops_the_writer_before_the_next_is_full(
    store: S3Store, proxy: S3Proxy, plain: S3Store
) -> None:
    proxy.times(ALWAYS, "PUT", "partNumber=1", Fault(status=403, body=error("AccessDenied")))
    with store.upload("a") as upload:
        upload.write(CONTENT)
        assert upload._sending is not None
        assert upload._sending[0].exception(timeout=60)
        with pytest.raises(StoreRefused, match="AccessDenied"):
            upload.write(b"x")
    assert count(proxy, "PUT", "partNumber") == 1
    assert nothing_is_left(plain)


def test_leaving_waits_for_no_part(make: Callable[..., S3Store], proxy: S3Proxy, plain: S3Store) -> None:
    store = make(read_seconds=2, attempts=5)
    arrived = threading.Event()

    def stall(method: str, path: str) -> Fault | None:
        if method == "PUT" and "partNumber" in path:
            arrived.set()
            return Fault(passes_on=False, delay_seconds=5)
        return None

    proxy.fault = stall
    with store.upload("a") as upload:
        upload.write(CONTENT[: PART + 1])
        assert arrived.wait(30)
    assert count(proxy, "PUT", "partNumber") == 1  # the SDK would have tried five times
    assert nothing_is_left(plain)


@pytest.mark.parametrize("cut", [0, 1, 1_500_000])
def test_a_download_goes_on_where_it_broke(store: S3Store, proxy: S3Proxy, plain: S3Store, cut: int) -> None:
    write(plain, "a", CONTENT)
    for start in (0, 12_345):
        proxy.times(3, "GET", "/p/a", Fault(cut_answer_after=cut))
        with store.read("a", start=start) as chunks:
            assert b"".join(chunks) == CONTENT[start:]


def test_a_download_that_comes_to_nothing_ends(store: S3Store, proxy: S3Proxy, plain: S3Store) -> None:
    write(plain, "a", CONTENT)
    proxy.times(ALWAYS, "GET", "/p/a", Fault(cut_answer_after=10))
    with store.read("a") as chunks, pytest.raises(StoreUnavailable, match="p/a cannot be read"):
        list(chunks)
    assert count(proxy, "GET", "/p/a") == 5
    with pytest.raises(StoreUnavailable):
        get(store, "a")


def test_a_download_never_goes_on_in_another_object(store: S3Store, proxy: S3Proxy, plain: S3Store) -> None:
    write(plain, "a", CONTENT)
    proxy.times(1, "GET", "/p/a", Fault(cut_answer_after=3_000_000))
    with store.read("a") as chunks:
        next(chunks)
        write(plain, "a", CONTENT[::-1])
        with pytest.raises(StoreRefused, match="PreconditionFailed"):
            list(chunks)


def test_a_service_without_ranges_is_refused(store: S3Store, proxy: S3Proxy, plain: S3Store) -> None:
    plain.put("a", b"12345")
    proxy.times(1, "GET", "/p/a", Fault(status=200, body="12345"))
    with pytest.raises(StoreRefused, match="from their beginning only"), store.read("a", start=1):
        pass


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "<html></html>",
        "<ListBucketResult></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>p/a</Key></Contents></ListBucketResult>",
        "",
    ],
)
def test_what_is_no_whole_listing_is_no_short_one(store: S3Store, proxy: S3Proxy, body: str) -> None:
    proxy.times(ALWAYS, "GET", "list-type=2", Fault(status=200, body=body))
    with pytest.raises(StoreUnavailable, match="cannot be listed"):
        keys(store)


def test_a_listing_of_two_pages(
    make: Callable[..., S3Store], proxy: S3Proxy, s3_server: S3Server, bucket: str
) -> None:
    client = s3_server.client()
    written = [f"a/{number:04}" for number in range(1001)]
    for key in written:
        client.put_object(Bucket=bucket, Key=f"p/{key}", Body=b"x")
    store = make(attempts=2)
    assert keys(store) == written
    proxy.times(ALWAYS, "GET", "continuation-token", Fault(status=500, body=error("InternalError")))
    listing = store.list("")
    assert [next(listing).key for _ in range(1000)] == written[:1000]
    with pytest.raises(StoreUnavailable):
        next(listing)


def actions(store: S3Store) -> list[Callable[[], object]]:
    return [
        store.check,
        lambda: store.stat("a"),
        lambda: get(store, "a"),
        lambda: store.read("a").__enter__(),
        lambda: write(store, "a", b"x"),
        lambda: write(store, "a", CONTENT),
        lambda: store.put("a", b"x"),
        lambda: store.put("a", b"x", replace=False),
        lambda: store.delete("a"),
        lambda: keys(store),
        lambda: store.abandon_uploads(""),
    ]


@pytest.mark.parametrize(
    ("status", "code", "kind", "hint"),
    [
        (403, "AccessDenied", StoreRefused, "lack a right"),
        (403, "InvalidAccessKeyId", StoreRefused, "check the access key"),
        (403, "SignatureDoesNotMatch", StoreRefused, "check the access key"),
        (403, "RequestTimeTooSkewed", StoreRefused, "set the clock"),
        (400, "ExpiredToken", StoreRefused, "check the access key"),
        (400, "MadeUp", StoreRefused, "said by the service"),
        (404, "NoSuchBucket", StoreRefused, "correct the url"),
        (503, "SlowDown", StoreUnavailable, "said by the service"),
        (429, "TooManyRequests", StoreUnavailable, "said by the service"),
        (500, "", StoreUnavailable, "cannot be"),
    ],
)
def test_errors_are_told_in_words(
    make: Callable[..., S3Store], proxy: S3Proxy, status: int, code: str, kind: type[HeraldError], hint: str
) -> None:
    store = make(attempts=1)
    # An answer to HEAD has no body.
    proxy.fault = lambda method, _path: Fault(status=status, body="" if method == "HEAD" else error(code))
    for action in actions(store):
        with pytest.raises(kind, match=hint) as caught:
            action()
        assert code in str(caught.value)
        assert SECRET_KEY not in str(caught.value)


def test_a_bucket_that_is_missing_is_no_empty_store(s3_server: S3Server, tmp_path: Path) -> None:
    store = S3Store("never-made", "", s3_server.options(), work_folder=tmp_path)
    for action in (*actions(store), store.prepare):
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            action()


def test_a_bucket_that_went_away_has_no_missing_objects(
    s3_server: S3Server, bucket: str, plain: S3Store
) -> None:
    plain.delete(f"{MARKER}x")
    client = s3_server.client()
    client.delete_object(Bucket=bucket, Key=f"p/{MARKER}")
    client.delete_bucket(Bucket=bucket)
    for action in actions(plain):
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            action()


def test_a_prefix_that_nobody_prepared_is_no_empty_store(
    s3_server: S3Server, bucket: str, plain: S3Store, tmp_path: Path
) -> None:
    store = S3Store(bucket, "q", s3_server.options(), work_folder=tmp_path)
    for action in actions(store):
        with pytest.raises(StoreRefused, match=f"is no store: it has no {MARKER}"):
            action()
    assert plain.check()


def test_nobody_listens(proxy: S3Proxy, make: Callable[..., S3Store]) -> None:
    store = make(attempts=2)
    proxy.fault = lambda _method, _path: Fault(passes_on=False)
    for action in actions(store):
        with pytest.raises(StoreUnavailable):
            action()
    closed = S3Store("b", "", S3Server(1).options(attempts=1), work_folder=Path("/"))
    with pytest.raises(StoreUnavailable, match="could not connect"):
        closed.check()


def test_put_without_replace_where_nothing_may_be_looked_at(store: S3Store, proxy: S3Proxy) -> None:
    proxy.fault = lambda method, path: (
        Fault(status=403, body=error("AccessDenied"))
        if method in ("GET", "HEAD") and "/p/a" in path
        else None
    )
    store.put("a", b"x", replace=False)
    with pytest.raises(HeraldError):
        store.put("a", b"y", replace=False)
    proxy.fault = lambda _method, _path: None
    assert get(store, "a") == b"x"


def test_put_without_replace_where_conditions_are_not_known(store: S3Store, proxy: S3Proxy) -> None:
    proxy.times(1, "PUT", "/p/a", Fault(status=501, body=error("NotImplemented")))
    store.put("a", b"x", replace=False)
    with pytest.raises(ObjectExists):
        store.put("a", b"y", replace=False)
    assert get(store, "a") == b"x"


def test_what_is_no_object_is_not_listed(s3_server: S3Server, bucket: str, plain: S3Store) -> None:
    client = s3_server.client()
    for key in ("other", "p/", "p/folder/", "p/read me", "p/a//b", "p/../c", "pp/a"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    client.create_multipart_upload(Bucket=bucket, Key="other")
    plain.put("a", b"x")
    assert keys(plain) == ["a"]
    assert plain.abandon_uploads("") == 0


@pytest.mark.parametrize(
    ("options", "encryption", "key"),
    [
        ({}, "AES256", None),
        ({"sse": None}, None, None),
        ({"sse": "aws:kms", "kms_key_id": "alias/backups"}, "aws:kms", "alias/backups"),
    ],
)
def test_every_object_is_encrypted_by_the_service(
    make: Callable[..., S3Store],
    s3_server: S3Server,
    bucket: str,
    options: dict[str, object],
    encryption: str | None,
    key: str | None,
) -> None:
    store = make(**options)
    write(store, "large", CONTENT)
    write(store, "small", b"x")
    store.put("put", b"x")
    for name in ("large", "small", "put"):
        found = s3_server.client().head_object(Bucket=bucket, Key=f"p/{name}")
        assert found.get("ServerSideEncryption") == encryption
        assert found.get("SSEKMSKeyId") == key


def test_parts_grow_and_wait_on_the_disk(
    store: S3Store, plain: S3Store, proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(s3_upload, "_PARTS_OF_A_SIZE", 1)
    content = CONTENT * 4
    write(store, "a", content)
    assert count(proxy, "PUT", "partNumber") == 3  # 8, 16 and 32 MiB hold 40 MB
    assert get(plain, "a") == content
    assert list(tmp_path.iterdir()) == []


def test_a_work_folder_without_room_refuses(
    plain: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(s3_upload, "_PARTS_OF_A_SIZE", 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with plain.upload("a") as upload:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, limits[1]))
        try:
            with pytest.raises(StoreRefused, match=f"by way of {tmp_path}: file too large"):
                upload.write(CONTENT * 3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert nothing_is_left(plain)


def test_a_work_folder_that_is_missing_is_refused_at_the_start(
    s3_server: S3Server, plain: S3Store, bucket: str
) -> None:
    store = S3Store(bucket, "p", s3_server.options(), work_folder=Path("/not/there"))
    with pytest.raises(StoreRefused, match="/not/there cannot be written"), store.upload("a"):
        pass


def run(code: str, store: S3Store, server: S3Server, folder: Path) -> list[str]:
    return [sys.executable, "-c", WRITER + code, store.url, str(server.port), str(folder)]


def test_a_writer_that_is_killed_leaves_nothing_visible_and_what_can_be_found(
    plain: S3Store, s3_server: S3Server, tmp_path: Path
) -> None:
    command = run(ENDLESS, plain, s3_server, tmp_path)
    environ = {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        writer.send_signal(signal.SIGKILL)
    assert keys(plain) == []
    assert plain.abandon_uploads("b/") == 0
    assert plain.abandon_uploads("a/") == 1
    assert nothing_is_left(plain)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_object(plain: S3Store, s3_server: S3Server, tmp_path: Path) -> None:
    command = run(LARGE, plain, s3_server, tmp_path)
    environ = {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environ)
    assert 0 < int(done.stdout) < 60 * 1024
    assert plain.stat("a").size_bytes == 800 * 256 * 1024


def test_an_object_that_is_missing_is_said_to_be(store: S3Store, proxy: S3Proxy) -> None:
    with pytest.raises(ObjectMissing):
        store.stat("a")
    assert [method for method, _ in proxy.requests] == ["HEAD", "GET"]
