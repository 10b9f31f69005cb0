"""From whatever happens to one clear line and the right exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from attnscope import ranks
from attnscope.cli.streams import close_quietly, open_missing, say

DONE, ERROR, INTERRUPTED = 0, 2, 130


class Verdict(int):
    """The exit code that a command returns.

    Only this may be 1, a leak: Typer says 1 for its own errors, and no tool error may read as one.
    """


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code and lets no exception through."""
    from attnscope.cli.app import app

    open_missing()
    code: Any = DONE
    try:
        code = app(args=list(arguments), prog_name="attnscope", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Nobody reads on, which changes no verdict. The help text leaves by SystemExit.
        close_quietly()
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        return told(error)
    except BaseException as error:  # of a model's own code, such as pytest's skips
        return told(RuntimeError(f"{type(error).__name__}: {error}"))
    return _settled(code)


def _settled(code: Any) -> int:
    if isinstance(code, Verdict):
        return int(code)
    if code == INTERRUPTED:  # newer Typers turn Ctrl-C into this return value
        return _interrupted()
    return ERROR if code else DONE


def told(error: Exception, about: str = "") -> int:
    """Say an error in one line on stderr, with what it is about; returns its exit code.

    Of several processes, the first tells what happens in all, and another what only it knows.
    """
    from attnscope.errors import RankError
    from attnscope.text import escape

    if type(error).__name__ == "Abort":
        return _interrupted()
    if os.environ.get("ATTNSCOPE_TRACEBACK"):
        traceback.print_exception(error)
    tells = ranks.prints() or isinstance(error, RankError)
    if (line := line_of(error)) and tells:
        about = escape(about)
        known = not about or line.startswith((f"{about} ", f"{about}:"))
        say(f"attnscope: {line}" if known else f"attnscope: {about}: {line}")
    return ERROR


def line_of(error: Any) -> str:
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


def _interrupted() -> int:
    if ranks.prints():
        say("attnscope: interrupted.")
    return INTERRUPTED
