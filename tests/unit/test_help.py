"""What the commands say of themselves."""

import shlex

import click
import pytest

from command_tree import walk
from herald_pipelines.cli import herald

COMMANDS = {" ".join(words): command for words, command in walk(herald) if not command.hidden}


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
