"""What a command is born with: standard streams, which may be closed or take little, and signals."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from db.errors import InputError, ReelwrightError, os_error


def settle_streams() -> None:
    """Make sure that the standard streams are there and take every character.

    The number of one that is closed would go to the next file that is opened, a database perhaps, and what a library
    prints would go there with it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 -- for as long as we run
        else:
            stream.reconfigure(errors="backslashreplace")


def heed_signals() -> None:
    """Take SIGTERM and SIGHUP as Ctrl-C: work in hand is given back. Who was told to ignore them (nohup) does so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def flush_output() -> ReelwrightError | None:
    """Let go of what was printed; returns what is wrong if it cannot be written. Nothing more is printed then.

    Where nobody reads any more, as behind ``| head``, nothing is wrong.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        mute_output()
        named = isinstance(error, OSError) and not isinstance(error, BrokenPipeError)
        return os_error("standard output", error) if named else None  # type: ignore[arg-type]
    return None


def mute_output() -> None:
    """Throw away what is printed from now on: the interpreter's own last flush must not complain either."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def link_error(error: Exception) -> InputError | None:
    """Return what is wrong where a link leads to itself: before Python 3.13 ``Path.resolve`` raises no OSError."""
    is_loop = isinstance(error, RuntimeError) and str(error).startswith("Symlink loop")
    return InputError(f"{error!s:.300}", code="PATH_UNUSABLE") if is_loop else None
