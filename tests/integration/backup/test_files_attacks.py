"""Backups made by hand and signed by the right key: whatever tar and listing say, nothing is written outside of a tree."""

import os
import tarfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from trees import back_up, forge, litter, look, restore

from herald_pipelines.backup.extract import extract_into
from herald_pipelines.backup.files_archive import reading_files
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.errors import PermanentFailure

Members = list[tuple[tarfile.TarInfo, bytes]]
Entries = list[dict[str, Any]]
CONTENT = b"owned\n"


def member(
    path: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of a tar."""
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.linkname = kind, 0o755, link
    return info, content


def entry(path: str, kind: str = "file", content: bytes = b"", **more: Any) -> dict[str, Any]:
    """Return an entry of a listing."""
    digest = sha256(content).hexdigest() if kind == "file" else None
    return {"path": path, "type": kind, "mode": 0o755, "size": len(content), "sha256": digest, **more}


class Forgery:
    """A backup that is made by hand: tar and listing agree unless one is told otherwise."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.members: Members = []
        self.entries: Entries = []
        self.folder(root)

    def folder(self, path: str) -> None:
        """Add a folder to both."""
        self.members.append(member(path[1:], tarfile.DIRTYPE))
        self.entries.append(entry(path, "folder"))

    def file(self, path: str, content: bytes = CONTENT) -> None:
        """Add a file to both."""
        self.members.append(member(path.removeprefix("/"), content=content))
        self.entries.append(entry(path, content=content))

    def link(self, path: str, target: str, *, hard: bool = False, **more: Any) -> None:
        """Add a link to both."""
        kind = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
        self.members.append(member(path[1:], kind, link=target[1:] if hard else target))
        self.entries.append(entry(path, "hardlink" if hard else "symlink", target=target, **more))


def absolute(forgery: Forgery, outside: Path) -> None:
    forgery.file(f"{outside}/new")


def absolute_in_the_tar_alone(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{outside}/new", content=CONTENT))
    forgery.entries.append(entry(f"{forgery.root}/new", content=CONTENT))


def dots(forgery: Forgery, outside: Path) -> None:
    forgery.file(f"{forgery.root}/../outside/new")


def dots_in_the_tar_alone(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/../outside/new", content=CONTENT))
    forgery.entries.append(entry(f"{forgery.root}/new", content=CONTENT))


def dots_as_a_folder(forgery: Forgery, outside: Path) -> None:
    forgery.folder(f"{forgery.root}/..")
    forgery.file(f"{forgery.root}/../new")


def empty_part(forgery: Forgery, outside: Path) -> None:
    forgery.file(f"{forgery.root}//{outside}/new")


def relative(forgery: Forgery, outside: Path) -> None:
    forgery.file("new")


def below_a_link(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", str(outside), leaves=True)
    forgery.file(f"{forgery.root}/a/new")


def a_link_becomes_a_folder(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", str(outside), leaves=True)
    forgery.folder(f"{forgery.root}/a")
    forgery.file(f"{forgery.root}/a/new")


def a_folder_becomes_a_link(forgery: Forgery, outside: Path) -> None:
    forgery.folder(f"{forgery.root}/a")
    forgery.link(f"{forgery.root}/a", str(outside), leaves=True)
    forgery.file(f"{forgery.root}/a/new")


def a_link_where_a_folder_is_listed(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", tarfile.SYMTYPE, link=str(outside)))
    forgery.entries.append(entry(f"{forgery.root}/a", "folder"))
    forgery.file(f"{forgery.root}/a/new")


def through_a_link_to_a_file(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", f"{outside}/victim", leaves=True)
    forgery.file(f"{forgery.root}/a")


def link_that_leaves(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", f"{outside}/victim")


def link_that_leaves_by_dots(forgery: Forgery, outside: Path) -> None:
    forgery.folder(f"{forgery.root}/b")
    forgery.link(f"{forgery.root}/b/a", "../../outside/victim")


def hard_link_out(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", f"{outside}/victim", hard=True)


def hard_link_out_by_dots(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", f"{forgery.root}/../outside/victim", hard=True)


def hard_link_through_a_link(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", str(outside), leaves=True)
    forgery.link(f"{forgery.root}/b", f"{forgery.root}/a/victim", hard=True)


def hard_link_to_a_link(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", f"{outside}/victim", leaves=True)
    forgery.link(f"{forgery.root}/b", f"{forgery.root}/a", hard=True)


def hard_link_to_what_is_not_there(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/b", f"{forgery.root}/a", hard=True)


def hard_link_to_itself(forgery: Forgery, outside: Path) -> None:
    forgery.link(f"{forgery.root}/a", f"{forgery.root}/a", hard=True)


def device(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", tarfile.CHRTYPE))
    forgery.entries.append(entry(f"{forgery.root}/a"))


def fifo(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", tarfile.FIFOTYPE))
    forgery.entries.append(entry(f"{forgery.root}/a"))


def unknown_type(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", b"Q"))
    forgery.entries.append(entry(f"{forgery.root}/a"))


def twice(forgery: Forgery, outside: Path) -> None:
    forgery.file(f"{forgery.root}/a")
    forgery.file(f"{forgery.root}/a")


def out_of_order(forgery: Forgery, outside: Path) -> None:
    forgery.file(f"{forgery.root}/b")
    forgery.file(f"{forgery.root}/a")


def beside_the_root(forgery: Forgery, outside: Path) -> None:
    forgery.file(f"{forgery.root}2")


def below_a_file(forgery: Forgery, outside: Path) -> None:
    forgery.file(f"{forgery.root}/a")
    forgery.file(f"{forgery.root}/a/b")


def not_listed(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", content=CONTENT))


def listed_alone(forgery: Forgery, outside: Path) -> None:
    forgery.entries.append(entry(f"{forgery.root}/a", content=CONTENT))


def other_content(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", content=b"other\n"))
    forgery.entries.append(entry(f"{forgery.root}/a", content=CONTENT))


def other_size(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", content=CONTENT * 2))
    forgery.entries.append(entry(f"{forgery.root}/a", content=CONTENT))


def other_mode(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", content=CONTENT))
    forgery.entries.append({**entry(f"{forgery.root}/a", content=CONTENT), "mode": 0o4755})


def nul(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", content=CONTENT))
    forgery.entries.append(entry(f"{forgery.root}/a\\u0000b", content=CONTENT))


def no_name(forgery: Forgery, outside: Path) -> None:
    forgery.members.append(member(f"{forgery.root[1:]}/a", content=CONTENT))
    forgery.entries.append(entry(f"{forgery.root}/a\\q", content=CONTENT))


ATTACKS: Sequence[Callable[[Forgery, Path], None]] = (
    absolute,
    absolute_in_the_tar_alone,
    dots,
    dots_in_the_tar_alone,
    dots_as_a_folder,
    empty_part,
    relative,
    below_a_link,
    a_link_becomes_a_folder,
    a_folder_becomes_a_link,
    a_link_where_a_folder_is_listed,
    through_a_link_to_a_file,
    link_that_leaves,
    link_that_leaves_by_dots,
    hard_link_out,
    hard_link_out_by_dots,
    hard_link_through_a_link,
    hard_link_to_a_link,
    hard_link_to_what_is_not_there,
    hard_link_to_itself,
    device,
    fifo,
    unknown_type,
    twice,
    out_of_order,
    beside_the_root,
    below_a_file,
    not_listed,
    listed_alone,
    other_content,
    other_size,
    other_mode,
    nul,
    no_name,
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_archive_reaches_nothing_outside(
    repo: Repository, tmp_path: Path, attack: Callable[[Forgery, Path], None]
) -> None:
    world = tmp_path / "world"
    root, outside = world / "app", world / "outside"
    root.mkdir(parents=True)
    outside.mkdir()
    (root / "file").write_text("as it was")
    (outside / "victim").write_text("as it was")
    forgery = Forgery(str(root))
    attack(forgery, outside)
    backup = forge(repo, [str(root)], forgery.members, forgery.entries)
    before = look(world)

    with pytest.raises(Damaged, match=r"not as|damaged|no file of the backup|more than|no whole tar|is none"):
        restore(repo, backup)

    after = look(world)
    # Where trees are extracted beside their places, the folder has another time.
    assert {**after, ".": ()} == {**before, ".": ()}


def test_a_forgery_without_an_attack_is_restored(repo: Repository, tmp_path: Path) -> None:
    """What the attacks are made with is a backup otherwise."""
    forgery = Forgery(str(tmp_path / "app"))
    forgery.file(f"{forgery.root}/a")
    forgery.link(f"{forgery.root}/b", f"{forgery.root}/a", hard=True)
    forgery.link(f"{forgery.root}/c", "a")
    backup = forge(repo, [forgery.root], forgery.members, forgery.entries)

    restore(repo, backup)

    assert (tmp_path / "app/b").read_bytes() == CONTENT
    assert (tmp_path / "app/a").stat().st_nlink == 2
    (tmp_path / "drill").mkdir()
    extract_into(repo, backup.manifest, tmp_path / "drill", say=lambda _text: None)
    assert (tmp_path / "drill" / forgery.root[1:] / "b").read_bytes() == CONTENT


def test_a_link_that_led_out_comes_back_as_a_link(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "outside").write_text("as it was")
    (tmp_path / "app/link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").chmod(0o600)
    backup = back_up(repo, tmp_path / "app")

    restore(repo, backup)

    assert (tmp_path / "app/link").readlink() == tmp_path / "outside"
    assert (tmp_path / "outside").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("part", ["app/sub", "app"])
def test_files_are_not_put_through_a_link_that_came_meanwhile(
    repo: Repository, tmp_path: Path, part: str
) -> None:
    """Who owns a tree may have put a link there, hoping for root to write through it."""
    root, outside = tmp_path / "app", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    (root / "sub/passwd").write_text("theirs")
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/passwd").write_text("the host's")
    (outside / "passwd").write_text("the host's")
    backup = back_up(repo, root)
    (tmp_path / part).rename(tmp_path / "gone")
    (tmp_path / part).symlink_to(outside)

    with pytest.raises(PermanentFailure, match=r"below what is no folder|is no folder there"):
        restore(repo, backup, only=[f"{root}/sub/passwd"])

    assert (outside / "sub/passwd").read_text() == (outside / "passwd").read_text() == "the host's"
    assert litter(tmp_path) == []


def test_a_whole_tree_replaces_a_link_and_not_what_it_leads_to(repo: Repository, tmp_path: Path) -> None:
    root, outside = tmp_path / "app", tmp_path / "outside"
    root.mkdir()
    (root / "file").write_text("theirs")
    outside.mkdir()
    backup = back_up(repo, root)
    root.rename(tmp_path / "gone")
    root.symlink_to(outside)

    restore(repo, backup)

    assert not root.is_symlink()
    assert (root / "file").read_text() == "theirs"
    assert os.listdir(outside) == []  # noqa: PTH208


@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("part", ["files", "listing"])
def test_a_damaged_object_is_told_as_that(repo: Repository, tmp_path: Path, part: str, share: float) -> None:
    root = tmp_path / "app"
    root.mkdir()
    for number in range(200):
        (root / f"{number}").write_bytes(os.urandom(10_000))
    backup = back_up(repo, root)
    path = tmp_path / "store" / backup.manifest.prefix / backup.manifest.part(part).object
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1
    path.write_bytes(content)
    before = look(root)

    with pytest.raises(Damaged, match=r"in the store|cannot be opened|damaged"):
        restore(repo, backup)
    with pytest.raises(Damaged), reading_files(repo, backup.manifest) as members:
        list(members)

    assert look(root) == before
    assert litter(tmp_path) == []
