"""herald.yaml: what is refused and in which words, where secrets do not show, and what holds in the end."""

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel

from herald_pipelines.database.indexes.history import LOOK_BACK_DAYS
from herald_pipelines.errors import UsageError
from herald_pipelines.settings import (
    CapabilityUrls,
    CatchUpSettings,
    DatabaseSettings,
    Guards,
    IndexSettings,
    OpsSettings,
    PartitionSettings,
    PerformanceSettings,
    SecretRef,
    Settings,
    TaskSettings,
    check_config,
    describe,
    load_settings,
    resolve_secret,
    resolve_url,
)
from herald_pipelines.settings.backup import (
    ApplicationSettings,
    BackupLimits,
    BackupSettings,
    FilesSettings,
    Objectives,
    RetentionSettings,
    S3Settings,
    ServiceSettings,
)
from herald_pipelines.settings.fields import Model, Range
from herald_pipelines.settings.health import EndpointSettings, HealthSettings, RiotSettings
from herald_pipelines.settings.mistakes import NOT_IN_FILE
from herald_pipelines.settings.security import AcceptedRisk, SecuritySettings
from herald_pipelines.values import Capability, Mode

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy" / "herald.example.yaml"
DATABASE_KEYS = ", ".join(sorted(DatabaseSettings.model_fields))
TOP_KEYS = (
    "(known: backup, calendar, catch_up, databases, health, indexes, ops, performance, security, version)"
)
DAYS = "2000-01-01 to 2099-12-31"
URL_KEYS = "backup, env, file, maintain, observe, restore"
NAME_RULE = "a name is a lower-case letter, then letters, digits and _, at most 63 in all"
SHOP = "version: 1\ndatabases:\n  shop:\n    url: postgresql://role@db/shop\n"
MODELS = {
    "Top level": Settings,
    "databases.NAME": DatabaseSettings,
    "ops": OpsSettings,
    "databases.NAME.url": CapabilityUrls,
    "{env: NAME} and {file: PATH}": SecretRef,
    "databases.NAME.tasks.TASK": TaskSettings,
    "databases.NAME.guards": Guards,
    "databases.NAME.partitions.TABLE": PartitionSettings,
    "catch_up": CatchUpSettings,
    "indexes": IndexSettings,
    "performance": PerformanceSettings,
    "backup": BackupSettings,
    "backup.s3": S3Settings,
    "backup.application": ApplicationSettings,
    "backup.configuration": FilesSettings,
    "backup.retention": RetentionSettings,
    "backup.limits": BackupLimits,
    "backup.services[]": ServiceSettings,
    "backup.objectives": Objectives,
    "security": SecuritySettings,
    "security.accepted[]": AcceptedRisk,
    "health": HealthSettings,
    "health.endpoints[]": EndpointSettings,
    "health.riot": RiotSettings,
}
# the same folder for every example of a property is fine: each one writes the file anew
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load(folder: Path, text: str, environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    (folder / "herald.yaml").write_text(text, encoding="utf-8")
    return load_settings(environ or {}, folder, **options)


def refused(folder: Path, text: str, **options: Any) -> list[str]:
    """Return the mistakes, one an entry, without the file's path."""
    with pytest.raises(UsageError) as caught:
        load(folder, text, **options)
    path = str(folder / "herald.yaml")
    lines = caught.value.message.split("\n")
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:").strip() for line in lines]


def example() -> dict[str, Any]:
    return yaml.safe_load(EXAMPLE.read_text("utf-8").replace("2026-11-01", "'2026-11-01'"))


# --- which file


def test_without_a_file_the_embedded_platform_holds(tmp_path: Path) -> None:
    found = load_settings({}, tmp_path)
    assert found == Settings(home=tmp_path / ".herald")
    assert (found.embedded, found.source, found.names()) == (True, None, ("platform", "ops"))
    assert found.database("platform").url is None
    assert [found.mode_of(name, "index_rebuild") for name in found.names()] == [Mode.APPLY, Mode.APPLY]


def test_the_file_of_the_current_folder_is_found(tmp_path: Path) -> None:
    found = load(tmp_path, SHOP)
    assert found.source == tmp_path / "herald.yaml"
    assert found.names() == ("shop", "ops")
    assert found.mode_of("shop", "index_rebuild") is Mode.OBSERVE


def test_herald_config_and_herald_home_name_paths_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "herald.yaml").write_text("nonsense", encoding="utf-8")
    (tmp_path / "other.yaml").write_text(SHOP, encoding="utf-8")
    found = load_settings({"HERALD_CONFIG": "other.yaml", "HERALD_HOME": "state"}, tmp_path)
    assert (found.source, found.home) == (tmp_path / "other.yaml", tmp_path / "state")


@pytest.mark.parametrize("name", ["gone.yaml", "folder", "link.yaml/beside"])
def test_a_file_that_is_named_must_be_readable(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.yaml").write_text(SHOP, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(f"{tmp_path / name} cannot be read: ")):
        load_settings({"HERALD_CONFIG": name}, tmp_path)


def test_a_link_to_nowhere_is_not_taken_for_no_file(tmp_path: Path) -> None:
    (tmp_path / "herald.yaml").symlink_to("gone.yaml")
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        load_settings({}, tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "herald.yaml").write_bytes(b"version: 1 # caf\xe9\n")
    with pytest.raises(UsageError, match="cannot be read: not UTF-8 text"):
        load_settings({}, tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "herald.yaml").write_bytes(b"\xef\xbb\xbf" + SHOP.encode())
    assert load_settings({}, tmp_path).names() == ("shop", "ops")


# --- YAML


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- version\n", "1: must be a mapping of keys, such as `version: 1`"),
        ("version: 1\n\tops: 1\n", "2: not valid YAML: found character ... that cannot start any token"),
        ("version: 1\nops: [a\n", "3: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (
            "version: 1\nops: *word\n",
            "2: not valid YAML: an alias (*name) without its anchor; quote a value that begins with *",
        ),
        (
            "version: 1\nops: !word x\n",
            "2: not valid YAML: a tag (!name) is not allowed; quote a value that begins with !",
        ),
        ("version: 1\n? {a: 1}\n: 2\n", "2: not valid YAML: a key must be plain text"),
        ("version: 1\nindexes: {<<: 3}\n", "2: not valid YAML: << takes a mapping"),
        ("version: 1\n---\nversion: 1\n", "2: not valid YAML: more than one document"),
        ("version: 1\nops: !!int word\n", "is not YAML that can be read"),
        ("[" * 500, "is not YAML that can be read"),
        ("version: 1\nops: \x07\n", "holds a character that YAML does not allow"),
    ],
)
def test_text_that_is_no_mapping_is_refused_with_its_line(tmp_path: Path, text: str, mistake: str) -> None:
    assert refused(tmp_path, text) == [mistake]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("indexes: {}\n", "1: version: is missing: write `version: 1` (known: 1)"),
        ("indexes: {}\nversion: 2\nnew_key: 1\n", "2: version: unknown version 2 (known: 1)"),
        ("version: '1'\n", "1: version: unknown version '1' (known: 1)"),
        ("version: true\n", "1: version: unknown version true (known: 1)"),
        ("version: [1]\n", "1: version: unknown version a list (known: 1)"),
        ("version: 1.0\n", "1: version: unknown version 1.0 (known: 1)"),
    ],
)
def test_another_version_is_refused_before_anything_else(tmp_path: Path, text: str, mistake: str) -> None:
    assert refused(tmp_path, text) == [mistake]


def test_an_empty_value_counts_as_not_given(tmp_path: Path) -> None:
    text = SHOP + "    guards:\n    since:\n    budget_seconds:\ncatch_up:\n  max_attempts:\n"
    assert load(tmp_path, text) == load(tmp_path, SHOP)
    assert refused(tmp_path, "version: 1\ndatabases:\n  shop:\n    url:\n") == [
        "4: databases.shop.url: is missing"
    ]
    assert refused(tmp_path, "version: 1\ndatabases:\n  shop:\n") == ["3: databases.shop.url: is missing"]


def test_anchors_and_merge_keys_share_what_databases_have_in_common(tmp_path: Path) -> None:
    text = (
        SHOP.replace("shop:", "shop: &common", 1)
        + "    mode: apply\n  games:\n    <<: *common\n    mode: observe\n"
    )
    found = load(tmp_path, text)
    assert found.database("games").url == found.database("shop").url
    assert (found.database("shop").mode, found.database("games").mode) == (Mode.APPLY, Mode.OBSERVE)


# --- mistakes


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
version: 1
databases:
  shop:
    url: postgresql://role:word@db/shop
    sinse: 2026-01-01
    mode: aply
    guards:
      wait_seconds: -4
      wait_seconds: -5
    budget_seconds: 10 min
  Shop|2:
    url: {observ: {env: X}}
  ops: {url: postgresql://db/ops}
  games:
    url: {backup: {env: X}}
    mode: apply
  chat:
    url: {env: X, file: y}
    replicas: {r1: 3}
    since: 2026-02-31
    tasks: [index_rebuild]
    lock_timeout_seconds: 0
    indexes: {bloat_threshold: 1, min_size_bytes: 1e6}
home: elsewhere
catch_up: {max_attempts: 1:30}
"""
    assert refused(tmp_path, text) == [
        "4: databases.shop.url: password in the url; use {env: NAME} or {file: PATH}",
        f"5: databases.shop.sinse: unknown key (known: {DATABASE_KEYS}); did you mean 'since'?",
        "6: databases.shop.mode: unknown value 'aply' (known: apply, observe); did you mean 'apply'?",
        "9: databases.shop.guards.wait_seconds: is given twice",
        "9: databases.shop.guards.wait_seconds: must be from 0 to 2147483, not -5",
        "10: databases.shop.budget_seconds: must be a number, not '10 min'",
        f"11: databases.Shop|2: {NAME_RULE}",
        f"12: databases.Shop|2.url.observ: unknown key (known: {URL_KEYS}); did you mean 'observe'?",
        "13: databases.ops: the name is reserved for our own database; its settings are under the key ops",
        "14: databases.games: mode apply needs url.maintain",
        "18: databases.chat.url: a secret has exactly one of the keys env and file",
        "19: databases.chat.replicas.r1: must be a url, {env: NAME} or {file: PATH}, not 3",
        "20: databases.chat.since: must be a date such as 2026-11-24, not '2026-02-31'",
        "21: databases.chat.tasks: must be a mapping of names, not a list",
        "22: databases.chat.lock_timeout_seconds: must be from 0.001 to 2147483, not 0",
        "23: databases.chat.indexes.bloat_threshold: must be from 0.01 to 0.99, not 1",
        "23: databases.chat.indexes.min_size_bytes: must be a whole number, not 1000000.0",
        f"24: home: unknown key {TOP_KEYS}",
        "25: catch_up.max_attempts: must be a whole number, not '1:30'",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("1: 2", "a key must be text: put it in quotes"),
        ("ops: 4", "must be a mapping of keys, not 4"),
        ("databases: [a]", "must be a mapping of names, not a list"),
        ("indexes: {bloat_threshold: .nan}", "must be a number, not '.nan'"),
        ("indexes: {bloat_threshold: true}", "must be a number, not true"),
        ("catch_up: {max_attempts: 0}", "must be from 1 to 20, not 0"),
        ("ops: {budget_seconds: 0}", "must be from 0.001 to 36000, not 0"),
        ("ops: {statement_timeout_seconds: 9999999}", "must be from 0.001 to 2147483, not 9999999"),
        ("ops: {url: {}}", "holds no url: write one, or one for each of observe, maintain, backup, restore"),
        ("ops: {tasks: {index_rebuild: {enabled: yes}}}", "must be true or false, not 'yes'"),
        ("ops: {tasks: {Index: {}}}", NAME_RULE),
        ("calendar: [a]", "must be the path of a file, not a list"),
        ("calendar: gone.yaml", "gone.yaml cannot be read: no such file or directory"),
        ("ops: {since: 20261124}", "must be a date such as 2026-11-24, not 20261124"),
        ("ops: {url: postgresql://db}", "names no database: write postgresql://role@host:5432/database"),
        ("ops: {url: host=db dbname=x}", "is not a url such as postgresql://role@host:5432/database"),
        ("ops: {url: 'postgresql://db:port/x'}", "has a port that is no number from 1 to 65535"),
        ("ops: {since: 1999-12-31}", "must be from 2000-01-01 to 2099-12-31, not '1999-12-31'"),
        ("calendar: herald.yaml/x", "herald.yaml/x cannot be read: not a directory"),
        ("calendar: /dev/zero", "/dev/zero cannot be read: not a regular file"),
        ('calendar: "a\\0b"', "cannot be read: no path has a NUL in it"),
        (
            '"<url>": 1',
            f"2: <url>: unknown key {TOP_KEYS}",
        ),
        (
            '"[key]": 1',
            f"2: [key]: unknown key {TOP_KEYS}",
        ),
        (
            '"odd\\nkey": 1',
            f"unknown key {TOP_KEYS}",
        ),
    ],
)
def test_mistakes_are_said_in_words(tmp_path: Path, text: str, mistake: str) -> None:
    [found] = refused(tmp_path, f"version: 1\n{text}\n")
    assert found.startswith("2: ")
    assert found.endswith(mistake)


def test_a_task_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    text = SHOP + "    tasks: {index_rebiuld: {mode: apply}}\nops: {tasks: {index_stats: {}, vacum: {}}}\n"
    unknown = "unknown task (known: index_rebuild, index_stats)"
    assert refused(tmp_path, text, tasks=["index_rebuild", "index_stats"]) == [
        f"5: databases.shop.tasks.index_rebiuld: {unknown}; did you mean 'index_rebuild'?",
        f"6: ops.tasks.vacum: {unknown}",
    ]


def places(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each mapping with fixed keys: names of databases, tables, replicas, tasks and so on are free."""
    if not path or path[-1] not in ("databases", "partitions", "replicas", "tasks", "programs", "queries"):
        yield path
    for key, value in data.items():
        if isinstance(value, dict):
            yield from places(value, (*path, key))


PLACES = sorted(places(example()))
# A key of one place may be an unknown one at another, but not at all of them; hypothesis knows the words of the code.
KNOWN_KEYS = {key for model in Model.__subclasses__() for key in model.model_fields}


@many
@given(
    place=st.sampled_from(PLACES),
    key=st.text(min_size=1, max_size=30),
    value=st.sampled_from([1, None, "x", {}, []]),
)
def test_an_unknown_key_is_refused_at_any_level(
    tmp_path: Path, place: tuple[str, ...], key: str, value: object
) -> None:
    data: dict[str, Any] = example()
    at = data
    for part in place:
        at = at[part]
    if key in at or key in KNOWN_KEYS or "://" in key:
        return
    at[key] = value
    mistakes = refused(tmp_path, yaml.safe_dump(data, sort_keys=False))
    shown = ".".join((*place, key if key.isprintable() else repr(key)))
    assert any(
        re.fullmatch(rf"\d+: {re.escape(shown)}: unknown key \(known: .+", each) for each in mistakes
    ), mistakes


# --- secrets

SECRET = "hunter2Zq"  # never in any text


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://role:{SECRET}@db/shop",
        f"postgres://role:{SECRET}@db/shop",
        f"postgresql://role:12/{SECRET}@db/shop",
        f"postgresql://role:{SECRET}#1@db/shop",
        f"postgresql://ro@le:{SECRET}@db/shop",
        f"postgresql://:{SECRET}@db/shop",
        f"postgresql://db/shop?user=role&password={SECRET}",
        f"postgresql://db/shop?sslpassword={SECRET}",
        f"postgresql://db/shop#?password={SECRET}",
        f"postgresql://db/shop?%70assword={SECRET}",
        f"postgresql:/role:{SECRET}@db/shop",
        f"role:{SECRET}@db/shop",
        f"host=db password={SECRET}",
        SECRET,
    ],
)
@pytest.mark.parametrize(
    "place",
    ["url: {}", "url: {{env: {}}}", "url: {{observe: {}}}", "url: postgresql:///x\n    replicas: {{r1: {}}}"],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(
    tmp_path: Path, url: str, place: str
) -> None:
    if "env" in place and url == SECRET:
        return  # a variable may have any name
    text = "version: 1\ndatabases:\n  shop:\n    " + place.format(json.dumps(url))
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert_hidden(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "password: {0}",
        "url: {{env: X, password: {0}}}",
        "url: {{file: 'postgresql://role:{0}@db/shop'}}",
        "mode: postgresql://role:{0}@db/shop",
        "postgresql://role:{0}@db/shop: {{}}",
        "url: *{0}",
        "url: !{0} x",
        "url: 'postgresql://role:{0}@db/shop",
        'url: "postgresql://role:{0}@db\\shop"',
        "url: [{0}",
        "url: {{{0}: }} }}",
        "url: !!int {0}",
        "url: %{0}",
        "url: postgresql://role:{0}@db/shop: x",
    ],
)
def test_no_mistake_repeats_what_may_be_a_secret(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, "version: 1\ndatabases:\n  shop:\n    " + line.format(SECRET) + "\n")
    assert_hidden(caught.value)


@many
@given(word=st.text(alphabet=st.characters(codec="ascii", exclude_characters="\0"), max_size=20))
def test_whatever_a_password_is_made_of_it_is_refused_and_not_repeated(tmp_path: Path, word: str) -> None:
    url = f"postgresql://role:{word}{SECRET}@db/shop"
    with pytest.raises(UsageError) as caught:
        load(tmp_path, f"version: 1\ndatabases:\n  shop:\n    url: {json.dumps(url)}\n")
    assert_hidden(caught.value)


def assert_hidden(error: UsageError) -> None:
    assert SECRET not in str(error)
    assert SECRET not in repr(error)
    # nothing that was on its way when the error was raised quotes the file either
    link: BaseException | None = error
    while link is not None:
        assert SECRET not in str(link)
        link = link.__cause__ or link.__context__
    assert SECRET not in "".join(traceback.format_exception(error))


def test_secrets_are_resolved_at_use_and_never_shown(tmp_path: Path) -> None:
    secret_url = f"postgresql://role:{SECRET}@db:5432/shop"
    file = tmp_path / "shop-url"
    file.write_text(secret_url + "\n", encoding="utf-8")
    file.chmod(0o640)
    environ = {"SHOP_URL": secret_url}
    text = (
        "version: 1\ndatabases:\n  shop:\n    url: {observe: {env: SHOP_URL}, maintain: {file: shop-url}}\n"
    )
    found = load(tmp_path, text, environ)
    assert found.database("shop").url_for(Capability.OBSERVE, "shop") == SecretRef(env="SHOP_URL")
    for capability in (Capability.OBSERVE, Capability.MAINTAIN):
        value = found.database("shop").url_for(capability, "shop")
        assert value is not None
        assert resolve_url(value, environ) == secret_url
    document = check_config(environ, tmp_path)
    assert document["databases"]["shop"]["url"] == {
        "observe": {"env": "SHOP_URL"},
        "maintain": {"file": str(file)},
    }
    for text in (repr(found), str(found), found.model_dump_json(), json.dumps(document)):
        assert SECRET not in text


def test_config_check_tells_every_secret_that_cannot_be_resolved(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("postgresql://db/x", encoding="utf-8")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "empty").touch(0o600)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "bytes").chmod(0o600)
    text = """\
version: 1
ops: {url: {env: OPS_URL}}
databases:
  a: {url: {file: open}, replicas: {r1: {env: WORD}, r2: {env: PORT}}}
  b: {url: {observe: {file: gone}, backup: {file: empty}, restore: {file: bytes}}}
"""
    (tmp_path / "herald.yaml").write_text(text, encoding="utf-8")
    environ = {"WORD": SECRET, "PORT": f"postgresql://role:{SECRET}/x"}
    with pytest.raises(UsageError) as caught:
        check_config(environ, tmp_path)
    assert_hidden(caught.value)
    lines = [line.removeprefix(f"{tmp_path / 'herald.yaml'}: ") for line in caught.value.message.split("\n")]
    opened = tmp_path / "open"
    hint = "; write postgresql://role:password@host:5432/database"
    port = f"has a port that is no number from 1 to 65535{hint}"
    not_a_url = f"is not a url such as postgresql://role@host:5432/database{hint}"
    assert [line.split(", : /")[0] for line in lines] == [
        f"databases.a.url: the secret file {opened} is open to everybody (mode 0644); chmod o= {opened}",
        f"databases.a.replicas.r1: the url that {{env: WORD}} holds {not_a_url}",
        f"databases.a.replicas.r2: the url that {{env: PORT}} holds {port}",
        f"databases.b.url.observe: the secret file {tmp_path}/gone cannot be read: no such file or directory",
        f"databases.b.url.backup: the secret file {tmp_path}/empty is empty",
        f"databases.b.url.restore: the secret file {tmp_path}/bytes cannot be read: not UTF-8 text",
        "ops.url: the environment variable OPS_URL is not set",
    ]


def test_a_plain_value_is_its_own_secret() -> None:
    assert resolve_secret("postgresql://db/x", {}) == "postgresql://db/x"


# --- what holds


def test_a_url_may_serve_one_capability_or_all(tmp_path: Path) -> None:
    text = "version: 1\ndatabases:\n  one: {url: postgresql://db/one}\n  two: {url: {maintain: postgresql://db/two}}\n"
    found = load(tmp_path, text)
    assert {found.database("one").url_for(each, "one") for each in Capability} == {"postgresql://db/one"}
    two = found.database("two")
    assert (
        two.url_for(Capability.OBSERVE, "two")
        == two.url_for(Capability.MAINTAIN, "two")
        == "postgresql://db/two"
    )
    with pytest.raises(UsageError) as caught:
        two.url_for(Capability.BACKUP, "two")
    assert str(caught.value) == "database 'two' has no url for backup\nHINT: add databases.two.url.backup"


def test_tasks_override_their_database(tmp_path: Path) -> None:
    text = (
        SHOP
        + "    budget_seconds: 100\n    tasks: {a: {mode: apply, budget_seconds: 5}, b: {enabled: false}}\n"
    )
    found = load(tmp_path, text)
    assert [found.mode_of("shop", each) for each in "abc"] == [Mode.APPLY, Mode.OBSERVE, Mode.OBSERVE]
    assert [found.budget_of("shop", each) for each in "abc"] == [5, 100, 100]
    assert [found.is_enabled("shop", each) for each in "abc"] == [True, False, True]
    with pytest.raises(UsageError, match=re.escape("unknown database 'shp' (known: ops, shop)")):
        found.mode_of("shp", "a")


def test_a_database_overrides_single_thresholds(tmp_path: Path) -> None:
    text = SHOP + "    indexes: {usage_window_days: 90}\nindexes: {bloat_threshold: 0.4}\n"
    found = load(tmp_path, text)
    assert found.indexes_of("shop") == IndexSettings(bloat_threshold=0.4, usage_window_days=90)
    assert found.indexes_of("ops") == IndexSettings(bloat_threshold=0.4)
    assert describe(found)["databases"]["shop"]["indexes"]["bloat_threshold"] == 0.4


def test_a_real_ops_database_brings_no_sample(tmp_path: Path) -> None:
    found = load(tmp_path, "version: 1\nops: {url: postgresql://db/herald}\n")
    assert (found.embedded, found.names()) == (False, ("ops",))


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().version = 1  # pyright: ignore[reportAttributeAccessIssue]
    assert hash(IndexSettings()) == hash(IndexSettings())


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "calendar.yaml").touch()
    (tmp_path / "etc" / "h.yaml").write_text(
        "version: 1\ncalendar: calendar.yaml\nops: {url: {file: url}}\n", encoding="utf-8"
    )
    found = load_settings({"HERALD_CONFIG": "etc/h.yaml"}, tmp_path)
    assert found.calendar == tmp_path / "etc" / "calendar.yaml"
    assert found.ops.url == SecretRef(file=tmp_path / "etc" / "url")


# --- example and reference


def test_the_example_holds_every_key_and_loads() -> None:
    found = load_settings({"HERALD_CONFIG": str(EXAMPLE)}, ROOT, tasks=["index_rebuild"])
    assert found.database("platform").since == date(2026, 11, 1)
    text = EXAMPLE.read_text("utf-8")
    keys = {key for model in MODELS.values() for key in model.model_fields} - NOT_IN_FILE
    assert {key for key in keys if not re.search(rf"\b{key}:", text)} == set()


def test_what_is_described_loads_again_as_the_same(tmp_path: Path) -> None:
    found = load_settings({"HERALD_CONFIG": str(EXAMPLE)}, ROOT)
    document = {key: value for key, value in describe(found).items() if key not in {*NOT_IN_FILE, "embedded"}}
    again = load(tmp_path, json.dumps(document))
    assert describe(again) | {"home": "", "source": ""} == describe(found) | {"home": "", "source": ""}


def reference_rows(title: str) -> dict[str, tuple[str, str, str]]:
    """Return default, unit and range of each key of a section of docs/settings.md."""
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.*?) ?\| (.*?) ?\|", sections[title], re.MULTILINE)
    return {key: (default, unit, limits) for key, default, unit, limits in rows}


@pytest.mark.parametrize("title", MODELS)
def test_the_reference_says_what_the_models_say(title: str) -> None:
    model, rows = MODELS[title], reference_rows(title)
    assert {key: default for key, (default, _, _) in rows.items()} == {
        key: shown_default(model, key) for key in model.model_fields if key not in NOT_IN_FILE
    }
    for key, (_, unit, limits) in rows.items():
        for word in ("seconds", "bytes", "days"):
            assert (unit == word) == key.endswith(f"_{word}"), key
        named = range_of(model, key)
        assert limits == (str(named) if named else DAYS if key in ("since", "until") else ""), key


def range_of(model: type[BaseModel], key: str) -> Range | None:
    """Return the range of a number; every number has one."""
    field = model.model_fields[key]
    marks = [*field.metadata]
    for each in get_args(field.annotation):
        marks += getattr(each, "__metadata__", ())
    ranges = [
        each.func for each in marks if isinstance(each, AfterValidator) and isinstance(each.func, Range)
    ]
    is_number = (
        (type(field.default) in (int, float) and key != "version")
        or key.endswith("_seconds")
        or key == "streams"
    )
    assert len(ranges) == is_number, key
    return ranges[0] if ranges else None


TABLE = "public.matches"
REQUIRED = {
    "health.endpoints[]": {"url": "https://site/healthz"},
    "health.riot": {"api_key": {"env": "RIOT_API_KEY"}},
}
NUMBERS = [
    (title, key, limits)
    for title, model in MODELS.items()
    for key in model.model_fields
    if (limits := range_of(model, key))
]


@pytest.mark.parametrize(("title", "key", "limits"), NUMBERS)
def test_a_number_outside_its_range_is_refused_with_the_range(
    tmp_path: Path, title: str, key: str, limits: Range
) -> None:
    place = title.replace("NAME", "shop").replace("TASK", "a").replace("TABLE", TABLE).replace("[]", ".0")
    entry: dict[str, Any] = {"url": "postgresql://db/shop"}
    data: dict[str, Any] = {"version": 1, "databases": {"shop": entry}}
    at = data
    names = {"NAME": "shop", "TASK": "a", "TABLE": TABLE}
    for part in (names.get(word, word) for word in title.split(".")):
        if part.endswith("[]"):
            inner: dict[str, Any] = {"name": "x"}
            at[part.removesuffix("[]")], at = [inner], inner
        else:
            at = at.setdefault(part, {})
    at |= REQUIRED.get(title, {})
    for value in (limits.lowest, limits.highest):
        at[key] = value
        load(tmp_path, json.dumps(data))
    beyond = [limits.lowest - 1, limits.highest + 1, -(10**17), 10**17]
    for value in beyond:
        at[key] = value
        [mistake] = refused(tmp_path, json.dumps(data))
        assert mistake == f"1: {place}.{key}: must be from {limits}, not {value}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_in_no_range(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match=r"must be from 0\.01 to 0\.99"):
        IndexSettings(bloat_threshold=value)
    shown = "must be from 0.001 to 36000, not inf"
    assert refused(tmp_path, "version: 1\nops: {budget_seconds: 1e400}") == [
        f"2: ops.budget_seconds: {shown}"
    ]


def test_an_unused_index_can_be_told_within_what_is_looked_at() -> None:
    limits = range_of(IndexSettings, "usage_window_days")
    assert limits is not None
    assert limits.highest < LOOK_BACK_DAYS


def test_the_last_backoff_is_a_date() -> None:
    last = CatchUpSettings(max_attempts=20, backoff_seconds=86400)
    wait = timedelta(seconds=last.backoff_seconds * 2 ** (last.max_attempts - 2))
    assert datetime(2099, 12, 31, tzinfo=UTC) + wait


def shown_default(model: type[Any], key: str) -> str:
    field = model.model_fields[key]
    if key == "version" or field.is_required():
        return "required"
    if key == "databases" and model is Settings:
        return "the sample platform"
    default = field.get_default(call_default_factory=True)
    if default is None or isinstance(default, BaseModel):
        return "none" if default is None else ""
    if isinstance(default, tuple) or key in ("sse", "time_zone"):
        return f"`{json.dumps(default) if isinstance(default, tuple) else default}`"
    if key.endswith("_seconds"):
        return f"`{default:g}`"
    return f"`{str(default).lower()}`"


@pytest.mark.parametrize("name", ["host", "dagster", "endpoints", "riot"])
def test_a_database_has_no_name_of_a_subject_of_health_checks(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match="reserved for health checks"):
        load(tmp_path, json.dumps({"version": 1, "databases": {name: {"url": "postgresql://a@b/c"}}}))
