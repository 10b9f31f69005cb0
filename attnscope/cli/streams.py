"""Standard streams that may be closed, or be closed while something is said."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def open_missing() -> None:
    """A stream that was closed before we started is None in Python: give it somewhere to go."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def say(line: str) -> None:
    """One line on stderr, after everything that went to stdout; nobody needs to read it."""
    try:
        if sys.stdout is not None:  # a model's own code may do what it likes to them
            sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except (OSError, ValueError):
        close_quietly()


def close_quietly() -> None:
    """The reader went away: say nothing, and let nothing be said when the interpreter flushes."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # closed, or none at all
            try:
                stream.flush()
            except OSError:
                os.dup2(sink, stream.fileno())
