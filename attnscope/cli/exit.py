"""From whatever happens to one clear line and the right exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

DONE, ERROR, INTERRUPTED = 0, 2, 130
"""1 is kept for findings: no tool error may read as a leak."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code and lets no exception through."""
    from attnscope.cli.app import app

    _open_missing_streams()
    try:
        code = app(args=list(arguments), prog_name="attnscope", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return _close_quietly()
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit:
        # Typer's own way out when the reader of its help text went away.
        return _close_quietly()
    except Exception as error:
        return _told(error)
    if code == INTERRUPTED:  # newer Typers turn Ctrl-C into this return value
        return _interrupted()
    return code if isinstance(code, int) else DONE


def _told(error: Exception) -> int:
    if type(error).__name__ == "Abort":
        return _interrupted()
    if os.environ.get("ATTNSCOPE_TRACEBACK"):
        traceback.print_exception(error)
    if line := _line(error):
        _say(f"attnscope: {line}")
    return ERROR


def _line(error: Any) -> str:
    """One line: what went wrong and what to do next."""
    from attnscope.errors import AttnscopeError
    from attnscope.text import escape

    if isinstance(error, AttnscopeError):
        return escape(str(error))
    if hasattr(error, "format_message"):  # a usage error
        command = getattr(getattr(error, "ctx", None), "command_path", "attnscope")
        message = error.format_message().rstrip(".")
        return escape(f"{message}. Try `{command} --help`.") if message else ""
    if isinstance(error, OSError) and error.strerror:
        return escape(f"{error.strerror}: {error.filename or 'standard output'}.")
    first = str(error).strip().splitlines()[:1]
    return escape(
        f"an error of attnscope's own: {type(error).__name__}: {first[0] if first else ''}"
        " Set ATTNSCOPE_TRACEBACK=1 for the traceback, and please report it."
    )


def _open_missing_streams() -> None:
    """A stream that was closed before we started is None in Python: give it somewhere to go."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _interrupted() -> int:
    _say("attnscope: interrupted.")
    return INTERRUPTED


def _say(line: str) -> None:
    try:
        sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except OSError:
        _close_quietly()


def _close_quietly() -> int:
    """The reader went away: say nothing, and let nothing be said when the interpreter flushes."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(sink, stream.fileno())
    return DONE
