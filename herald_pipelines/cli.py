"""The `herald` command: finds the command, tells its errors. Not here: any command (cli_*.py), decisions, SQL, Dagster.

One JSON document on stdout with --json; logs and progress on stderr. Exit codes: 0 done, 1 the work failed, 2 wrong
usage or configuration, 3 refused by a guard, 128 + n interrupted by signal n.
"""

import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper

import click

from herald_pipelines.cli_output import abandon, reason_of
from herald_pipelines.errors import HeraldError, UsageError
from herald_pipelines.resources import interrupts

SIGNAL_EXIT_BASE = 128
"""Of the shells: a program that signal n ended has the exit code 128 + n."""


COMMANDS: Mapping[str, str] = {
    "backup": "cli_backup",
    "config": "cli_settings",
    "demo": "cli_runs",
    "drill": "cli_backup",
    "health": "cli_health",
    "indexes": "cli_indexes",
    "migrate": "cli_runs",
    "partitions": "cli_partitions",
    "queries": "cli_performance",
    "restore": "cli_backup",
    "roles": "cli_settings",
    "run": "cli_runs",
    "security": "cli_security",
    "tables": "cli_tables",
    "up": "cli_runs",
    "windows": "cli_runs",
}
"""Each command, and the module that has it under its name."""


class _LazyGroup(click.Group):
    """A group that loads a command when it is asked for: few of them need Dagster, which takes a second or two."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - of click
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - of click
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"herald_pipelines.{COMMANDS[cmd_name]}"), cmd_name)


@click.group(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="herald-pipelines", message="%(version)s")
def herald() -> None:
    """Maintenance that is proven, for PostgreSQL platforms."""


def _tell(*lines: str) -> None:
    """Say something on stderr, where somebody listens."""
    try:
        for line in lines:
            click.echo(line, err=True)
    except OSError:
        abandon(sys.stderr)


def _tell_error(error: HeraldError) -> int:
    _tell(f"herald: {error.message}", *([f"HINT: {error.hint}"] if error.hint else []))
    return error.exit_code


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code."""
    interrupts.catch_signals()
    # What libraries warn of (each failed try of Dagster's storage) is said by the error that ends their tries.
    logging.getLogger().addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What a terminal's encoding lacks is shown by its number.
            stream.reconfigure(errors="backslashreplace")
    code = _invoke(arguments)
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        abandon(sys.stderr)
    sys.exit(code)


def _invoke(arguments: Sequence[str] | None) -> int:
    try:
        code = herald.main(
            args=None if arguments is None else list(arguments), prog_name="herald", standalone_mode=False
        )
    except HeraldError as error:
        return _tell_error(error)
    except click.exceptions.NoArgsIsHelpError as error:
        # A group without a command: its help is the answer, and nothing was done.
        _tell(error.format_message())
        return UsageError.exit_code
    except click.ClickException as error:
        message = error.format_message().rstrip(".")
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = (
            f"`{context.command_path if context else 'herald'} --help` shows what is known, with an example"
        )
        return _tell_error(UsageError(f"{message[:1].lower()}{message[1:]}", hint=hint))
    except (click.Abort, KeyboardInterrupt):
        return _tell_interrupted()
    except OSError as error:
        # Click writes a line where it sees an interrupt, which fails where nobody takes it.
        return _tell_interrupted() if interrupts.received() else _tell_error(_describe(error))
    return code if isinstance(code, int) else 0


def _tell_interrupted() -> int:
    _tell("herald: interrupted")
    return SIGNAL_EXIT_BASE + (interrupts.received() or signal.SIGINT)


def _describe(error: OSError) -> HeraldError:
    """Return the error for what the system refused us: a file, or one of our streams."""
    if isinstance(error, PermissionError):
        return UsageError(
            f"{error.filename} may not be used by this user",
            hint="let HERALD_HOME name a folder that you may write",
        )
    abandon(sys.stdout)
    return HeraldError(f"{error.filename or 'input or output failed'}: {reason_of(error)}")


if __name__ == "__main__":
    main()
