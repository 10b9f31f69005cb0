"""`--format`, `--report` and `--output` of the commands that return verdicts.

Everything that is asked for is known, and has a place, before the long work begins; afterwards each
report is written for itself, so that one that fails takes no other with it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnscope.cli import options
from attnscope.cli.exit import ERROR, Verdict
from attnscope.cli.output import Answer, content, deliver, print_text
from attnscope.cli.streams import say
from attnscope.errors import AttnscopeError, OutputError, SelectionError
from attnscope.files import require_place, write

if TYPE_CHECKING:
    from attnscope.render.reports import Entry

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable with which GitHub Actions names the file of a job's summary."""
SUMMARY_BYTES = 1_000_000
"""GitHub refuses a summary of more than 1 MiB as a whole."""


class Form(StrEnum):
    """`--format`, and the first half of `--report`."""

    table = "table"
    json = "json"
    junit = "junit"
    sarif = "sarif"
    github = "github"
    markdown = "markdown"
    html = "html"


ANCHOR = "pyproject.toml"
"""Nearly every repository of Python code has one."""

ENDINGS = {
    ".json": Form.json,
    ".xml": Form.junit,
    ".sarif": Form.sarif,
    ".md": Form.markdown,
    ".html": Form.html,
    ".htm": Form.html,
}
"""The form of a file of `--output` whose form is not named."""

FormOption = Annotated[
    Form,
    typer.Option("--format", help="What to print.", rich_help_panel=options.OUTPUT_PANEL),
]
ReportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="FORM:FILE",
        help="Also write a report, as junit:leaks.xml; for several, say it several times.",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]
AnchorOption = Annotated[
    str,
    typer.Option(
        "--sarif-anchor",
        metavar="FILE[:LINE]",
        help="The file of the repository at which SARIF shows its results.",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write to a file instead: text, or .json, .xml (JUnit), .sarif, .md, .html, .svg by"
        " its ending.",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is printed, and what is written where."""

    form: Form
    """What is printed, or written to the file of `--output`."""
    output: Path | None
    """That file."""
    width: int | None
    """Columns of text."""
    files: tuple[tuple[Form, Path], ...]
    """Those of `--report`."""
    anchor: tuple[str, int]
    """File and line of `--sarif-anchor`."""
    summary: Path | None
    """Where a job's summary goes; None without a report for GitHub."""


Texts = Mapping[Form, Callable[[], str]]
"""How to make each form but `table` and `json`, which an `Answer` has."""


def plan(
    form: Form,
    output: Path | None,
    width: int | None,
    reports: Sequence[str] | None = None,
    anchor: str = ANCHOR,
    others: Sequence[Path | None] = (),
) -> Plan:
    """Read the options, and see that everything has a place; so do `others` of the command.

    Raises SelectionError for what is not understood, OutputError for what cannot be written.
    """
    files = tuple(map(_file, reports or ()))
    places = [path for path in (output, *(path for _, path in files), *others) if path is not None]
    for number, path in enumerate(places):
        if os.path.realpath(path) in map(os.path.realpath, places[:number]):
            raise SelectionError(f"{str(path)!r} is named twice.", "Give each its own file.")
        require_place(path)
    named = os.environ.get(SUMMARY)
    to_github = Form.github in {form, *(each for each, _ in files)}
    summary = Path(named) if named and to_github else None
    if summary is not None:
        require_place(summary)
    return Plan(
        form=form, output=output, width=width, files=files, anchor=_anchor(anchor), summary=summary
    )


def require_apart(planned: Plan, baseline: Path | None) -> None:
    """Raises SelectionError where a report would overwrite the baseline that is read."""
    places = [planned.output, *(path for _, path in planned.files)]
    for path in places:
        if baseline and path and os.path.realpath(path) == os.path.realpath(baseline):
            raise SelectionError(
                f"{str(path)!r} is the baseline: a report would overwrite it.",
                "Give the report its own file.",
            )


def texts(entries: Sequence[Entry], planned: Plan, title: str, exit_code: int) -> Texts:
    """The forms that are made of entries."""

    def sarif() -> str:
        from attnscope import __version__
        from attnscope.render.reports.sarif import Run, sarif

        file, line = planned.anchor
        run = Run(file=file, line=line, version=__version__, exit_code=exit_code)
        return sarif(entries, run)

    def junit() -> str:
        from attnscope.render.reports.junit import junit

        return junit(entries)

    def github() -> str:
        from attnscope.render.reports.github import github

        return github(entries)

    def markdown() -> str:
        from attnscope.render.reports.markdown import markdown

        return markdown(entries)

    def html() -> str:
        from attnscope.render.reports.html import html_page

        return html_page(entries, title)

    return {
        Form.junit: junit,
        Form.sarif: sarif,
        Form.github: github,
        Form.markdown: markdown,
        Form.html: html,
    }


def settle(planned: Plan, answer: Answer, made: Texts, code: int) -> Verdict:
    """Write and print everything; the verdict's exit code, or 2 where something was not written."""
    failed = [str(error) for error in _written(planned, answer, made)]
    if planned.output is None:
        _print(planned, answer, made)
    for line in failed:
        from attnscope.text import escape

        say(f"attnscope: {escape(line)}")
    return Verdict(ERROR if failed else code)


def _written(planned: Plan, answer: Answer, made: Texts) -> Iterator[AttnscopeError]:
    """Write every file; those that cannot be written are told, and the others still are."""
    files = [*planned.files]
    if planned.output is not None:
        files.insert(0, (_by_ending(planned.form, planned.output), planned.output))
    for form, path in files:
        try:
            write(path, _made(form, path, planned.width, answer, made))
        except OutputError as error:
            yield error
    if planned.summary is not None:
        try:
            _append(planned.summary, made[Form.markdown]())
        except OutputError as error:
            yield error


def _made(form: Form, path: Path, width: int | None, answer: Answer, made: Texts) -> str:
    if form in made:
        return made[form]()
    suffix = path.suffix.lower() if form is Form.table else ""
    picture = suffix if suffix == ".svg" else ""
    return content(answer, options.Format(form.value), picture, width)


def _print(planned: Plan, answer: Answer, made: Texts) -> None:
    if planned.form in made:
        print_text(made[planned.form]())
    else:
        deliver(answer, options.Format(planned.form.value), None, planned.width)


def _by_ending(form: Form, path: Path) -> Form:
    if form is not Form.table:
        return form
    if path.name.lower().endswith(".sarif.json"):
        return Form.sarif
    return ENDINGS.get(path.suffix.lower(), form)


def _append(path: Path, text: str) -> None:
    """Behind what other steps wrote; what would not fit is left out at the end of a line."""
    kept = text.encode("utf-8")
    if len(kept) > SUMMARY_BYTES:
        kept = kept[:SUMMARY_BYTES].rpartition(b"\n")[0] + b"\n\n(cut: the report is longer)\n"
    try:
        with path.open("ab") as stream:
            stream.write(kept)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{SUMMARY} {str(path)!r} cannot be written: {reason}.") from error


def _file(text: str) -> tuple[Form, Path]:
    form, colon, name = text.partition(":")
    known = ", ".join(Form)
    if not colon or name in {"", "-"}:
        raise SelectionError(
            f"--report {text[:60]!r} is no FORM:FILE.", f"Say junit:leaks.xml; forms: {known}."
        )
    if form not in set(Form):
        raise SelectionError(f"--report {form[:40]!r} is no form.", f"Choose from {known}.")
    return Form(form), Path(name)


def _anchor(text: str) -> tuple[str, int]:
    given = re.fullmatch(r"(.+?)(?::([1-9][0-9]{0,8}))?", text)
    file = given[1] if given else ""
    outside = file.startswith(("/", "~")) or ".." in file.split("/") or re.search(r"[\\:\0]", file)
    if not given or outside:
        raise SelectionError(
            f"--sarif-anchor {text[:60]!r} is no file of the repository.",
            "Say a path from its root, with a line or without: models/card.md:1.",
        )
    return file.removeprefix("./"), int(given[2] or 1)
