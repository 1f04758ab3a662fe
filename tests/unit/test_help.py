"""What the commands say of themselves."""

import shlex
from collections.abc import Iterator

import click
import pytest

from herald_pipelines.cli import herald


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        path = (*words, name)
        if not command.hidden:
            yield " ".join(path), command
        if isinstance(command, click.Group):
            yield from commands(command, *path)


COMMANDS = dict(commands(herald))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_an_example_that_parses(path: str) -> None:
    command = COMMANDS[path]
    assert command.epilog
    example, _, _ = command.epilog.partition(" | ")
    words = shlex.split(example.removeprefix("Example: "))
    words = words[words.index("herald") + 1 :]
    assert " ".join(words).startswith(path)
    if not isinstance(command, click.Group):
        command.make_context(path, words[len(path.split()) :])


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_explained(path: str) -> None:
    command = COMMANDS[path]
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert [option.name for option in options if not option.help] == []
    assert (command.help or "").strip().endswith(".")
