"""Standard streams that may be closed, or be closed while something is said."""

from __future__ import annotations

import os
import sys


def open_missing() -> None:
    """A stream that was closed before we started is None in Python: give it somewhere to go."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def say(line: str) -> None:
    """One line on stderr, after everything that went to stdout; nobody needs to read it."""
    try:
        sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except OSError:
        close_quietly()


def close_quietly() -> None:
    """The reader went away: say nothing, and let nothing be said when the interpreter flushes."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(sink, stream.fileno())
