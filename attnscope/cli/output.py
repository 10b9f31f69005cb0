"""Results to standard output, or to a file whose ending says in which form."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from attnscope.cli.options import Format
from attnscope.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console

    from attnscope.records import Trace

FILE_WIDTH = 100


def deliver(trace: Trace, form: Format, output: Path | None, width: int | None) -> None:
    """Print a trace, or write it to `output`.

    Raises OutputError when the file cannot be written; nothing half-written is left.
    """
    if output is not None:
        _write(output, _content(trace, form, output.suffix.lower(), width or FILE_WIDTH))
    elif form is Format.json:
        print(_json(trace))  # noqa: T201
    else:
        from rich.console import Console

        from attnscope.render.page import page

        Console(width=width, highlight=False, emoji=False, markup=False).print(page(trace))


def _content(trace: Trace, form: Format, suffix: str, width: int) -> str:
    if form is Format.json or suffix == ".json":
        return _json(trace) + "\n"
    console = _recorder(trace, width)
    title = f"attnscope trace --model {trace.model.name}"
    if suffix == ".svg":
        return console.export_svg(title=title)
    if suffix in (".html", ".htm"):
        return console.export_html()
    return console.export_text()


def _recorder(trace: Trace, width: int) -> Console:
    from rich.console import Console

    from attnscope.render.page import page

    console = Console(
        record=True, width=width, file=io.StringIO(), color_system="truecolor",
        force_terminal=True, highlight=False, emoji=False, markup=False,
    )  # fmt: skip
    console.print(page(trace))
    return console


def _json(trace: Trace) -> str:
    import json

    from attnscope.render.trace_json import trace_json

    return json.dumps(trace_json(trace), allow_nan=False)


def _write(path: Path, content: str) -> None:
    """All or nothing: written beside its place, then moved there."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{path} cannot be written: {reason}.") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
