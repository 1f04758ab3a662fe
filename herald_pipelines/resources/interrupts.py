"""The signals that ask this process to end: they all arrive as KeyboardInterrupt, and which it was is remembered.

Dagster has handlers of its own while a run is executed, which tell no number; so the numbers are taken from the
file descriptor that Python writes them to whatever the handler. Not here: what is said and returned then (cli.py).
"""

import os
import signal
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READ_BYTES = 512

_pipe: list[int] = []
_received: list[int] = []


def catch_signals() -> None:
    """Have SIGTERM and SIGHUP interrupt as Ctrl-C does. What was started to ignore one (nohup) goes on ignoring it."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    _pipe[:] = [reader]
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _hang_up)


def received() -> signal.Signals | None:
    """Return the first signal that asked this process to end, or None."""
    for reader in _pipe:
        try:
            _received.extend(number for number in os.read(reader, _READ_BYTES) if number in STOPPING)
        except BlockingIOError:
            break
    return signal.Signals(_received[0]) if _received else None


def _hang_up(_number: int, _frame: FrameType | None) -> None:
    # Dagster knows SIGINT and SIGTERM: whatever it does with one now shall become of this one too.
    signal.raise_signal(signal.SIGTERM)
