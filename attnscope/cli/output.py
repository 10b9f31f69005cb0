"""Results to standard output, or to a file whose ending says in which form."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope import ranks
from attnscope.cli.heads_options import Tabular
from attnscope.cli.options import Format
from attnscope.cli.streams import close_quietly
from attnscope.files import write

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

FILE_WIDTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command has to say; each form is made when it is asked for."""

    title: str
    """The command that says it, for the title bar of a picture or a web page."""
    page: Callable[[], RenderableType]
    """For people."""
    data: Callable[[], Any]
    """For `json.dumps`, with finite numbers only."""
    table: Callable[[], str] | None = None
    """As CSV, where there is such a form."""


def content(answer: Answer, form: Format | Tabular, suffix: str, width: int | None) -> str:
    """What a file with that ending holds."""
    return _content(answer, form, suffix, width or FILE_WIDTH)


def deliver(answer: Answer, form: Format | Tabular, output: Path | None, width: int | None) -> None:
    """Print an answer, or write it to `output`. A reader that goes away is no error.

    Of several processes that share a model, one does.

    Raises OutputError when the file cannot be written; nothing half-written is left.
    """
    if not ranks.prints():
        return
    if output is not None:
        write(output, content(answer, form, output.suffix.lower(), width))
        return
    try:
        _print(answer, form, width)
        sys.stdout.flush()
    except BrokenPipeError:
        close_quietly()


def print_text(text: str) -> None:
    """Print text, with ? for what the stream cannot. A reader that goes away is no error."""
    encoding = sys.stdout.encoding or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
    try:
        print(text, end="")  # noqa: T201
        sys.stdout.flush()
    except BrokenPipeError:
        close_quietly()


def _print(answer: Answer, form: Format | Tabular, width: int | None) -> None:
    if form is not Format.table and form is not Tabular.table:
        print(_content(answer, form, "", FILE_WIDTH), end="")  # noqa: T201
        return
    from rich.console import Console

    class Printer(Console):
        """Rich would exit with code 1 when the reader goes away, and 1 is a leak."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    if os.environ.get("COLUMNS") == "0":  # Rich would print nothing at all
        width = width or FILE_WIDTH
    Printer(width=width, highlight=False, emoji=False, markup=False).print(answer.page())


def _content(answer: Answer, form: Format | Tabular, suffix: str, width: int) -> str:
    if answer.table and (form is Tabular.csv or (form is Tabular.table and suffix == ".csv")):
        return answer.table()
    if form in {Format.json, Tabular.json} or suffix == ".json":
        return _json(answer) + "\n"
    from attnscope.text import escape

    picture = suffix in {".svg", ".html", ".htm"}
    console = _recorder(answer, width, colour=picture)
    title = escape(answer.title)
    if suffix == ".svg":
        # the fonts that Rich names would be fetched from the network whenever the picture is opened
        return re.sub(r"@font-face {.*?}\s*", "", console.export_svg(title=title), flags=re.DOTALL)
    if suffix in {".html", ".htm"}:
        return _html(console, title)
    return console.export_text()


def _html(console: Console, title: str) -> str:
    import html

    from rich.terminal_theme import SVG_EXPORT_THEME

    page = console.export_html(theme=SVG_EXPORT_THEME)
    return page.replace("<head>", f"<head>\n<title>{html.escape(title)}</title>", 1)


def _recorder(answer: Answer, width: int, *, colour: bool) -> Console:
    from rich.console import Console

    console = Console(
        record=True, width=width, file=io.StringIO(),
        color_system="truecolor" if colour else None, no_color=not colour,
        force_terminal=True, highlight=False, emoji=False, markup=False,
    )  # fmt: skip
    console.print(answer.page())
    return console


def _json(answer: Answer) -> str:
    import json

    return json.dumps(answer.data(), allow_nan=False)
