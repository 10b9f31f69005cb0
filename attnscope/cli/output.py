"""Results to standard output, or to a file whose ending says in which form."""

from __future__ import annotations

import html
import io
import os
import re
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
    from attnscope.text import escape

    console = _recorder(trace, width)
    title = escape(f"attnscope trace --model {trace.model.name}")
    if suffix == ".svg":
        # the fonts that Rich names would be fetched from the network whenever the picture is opened
        return re.sub(r"@font-face {.*?}\s*", "", console.export_svg(title=title), flags=re.DOTALL)
    if suffix in {".html", ".htm"}:
        return _html(console, title)
    return console.export_text()


def _html(console: Console, title: str) -> str:
    from rich.terminal_theme import SVG_EXPORT_THEME

    page = console.export_html(theme=SVG_EXPORT_THEME)
    return page.replace("<head>", f"<head>\n<title>{html.escape(title)}</title>", 1)


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
    """A file all or nothing: written beside its place, then moved there.

    What is there and no file (a device, a pipe) is written to, never replaced.
    """
    place = Path(os.path.realpath(path))
    try:
        if place.exists() and not place.is_file():
            place.write_text(content, encoding="utf-8")
        else:
            _write_whole(place, content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{str(path)!r} cannot be written: {reason}.") from error


def _write_whole(place: Path, content: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, place)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
