"""The commands of `herald` as click knows them, loaded one by one."""

from collections.abc import Iterator

import click


def walk(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command and group below a group, with the words that lead to it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert command.name == name
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from walk(command, *words, name)
