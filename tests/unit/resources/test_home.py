"""A home that nothing can live in is refused with a sentence, and so is one that cannot be written."""

import os
import re
from pathlib import Path

import pytest

from herald_pipelines.environment import Environment
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.home import check_home, write_whole, writing_home


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("trailing\n", "its path holds a control character"),
        ("tab\there", "its path holds a control character"),
        (os.fsdecode(b"latin-\xe9"), "its path is not UTF-8"),
        ("é" * 450, "its path has 906 bytes, and PostgreSQL takes 900"),
    ],
)
def test_a_home_that_nothing_can_live_in_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, reason: str
):
    with pytest.raises(UsageError, match=f"^herald's home '/home/.*' cannot be used: {reason}\n") as caught:
        check_home(Path("/home") / name)
    assert caught.value.message.isascii()
    with pytest.raises(UsageError, match="cannot be used"):
        Environment.load({"HERALD_HOME": name}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["plain", ' a "b" $c `d` \\e ${f}', "日本\N{GRINNING FACE}", "x" * 200])
def test_other_homes_are_not_refused(name: str):
    check_home(Path("/home") / name)


def test_a_full_file_system_is_no_wrong_usage():
    with (
        pytest.raises(
            PermanentFailure, match="home /somewhere cannot be used: no space left on device\nHINT"
        ),
        writing_home(Path("/somewhere")),
        Path("/dev/full").open("w", buffering=1) as file,
    ):
        file.write("line\n")


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "home").touch()
    sentence = f"herald's home {tmp_path / 'home'} cannot be used: not a directory"
    with pytest.raises(UsageError, match=re.escape(sentence)), writing_home(tmp_path / "home"):
        (tmp_path / "home" / "postgres").mkdir()


def test_a_file_is_written_whole_with_its_mode_or_not_at_all(tmp_path: Path):
    path = tmp_path / "secret"
    write_whole(path, "old", mode=0o600)
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800", mode=0o600)
    assert path.read_text() == "old"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_day_of_the_set_up_that_is_none_is_told_with_its_file(tmp_path):
    environment = Environment.load({"HERALD_HOME": str(tmp_path)}, tmp_path)
    (tmp_path / "since").write_text("")
    with pytest.raises(UsageError, match=f"{tmp_path}/since holds no day"):
        _ = environment.calendar
