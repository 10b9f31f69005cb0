"""What `pytest --attnscope-report FILE` adds: everything that was judged, in one file at the end.

Under pytest-xdist each worker's reports travel with the results of the tests that made them, so
that a worker that dies takes no other test's report with it; the controller writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attnscope.errors import OutputError
from attnscope.testing import recorders

if TYPE_CHECKING:
    from attnscope.render.reports import Entry
    from attnscope.report import Report

FORMS = (".json", ".xml", ".sarif", ".md", ".html")
"""Endings of files that can be written."""
KEY = "attnscope"
"""Under which a test's result, or what a worker says last, carries reports as text."""
SCHEMA = 1


class ReportFile:
    """A pytest plugin of one session, registered where a file was asked for."""

    def __init__(self, config: pytest.Config, name: str) -> None:
        """`name` is the file, relative to where pytest was started.

        Raises pytest.UsageError when it has no place or no known ending.
        """
        self.path = config.invocation_params.dir / name
        self.on_worker = hasattr(config, "workerinput")
        self.problem = ""
        self._made: list[Report] = []
        self._outside: list[str] = []
        self._sent: list[str] = []
        if not self.on_worker:
            require_file(self.path, name)
        recorders.append(self._made)

    def pytest_unconfigure(self) -> None:
        """Record no more."""
        recorders[:] = [each for each in recorders if each is not self._made]

    def pytest_collection_finish(self) -> None:
        """What was judged while modules were imported is no test's."""
        self._outside += self._drained("")

    @pytest.hookimpl(tryfirst=True)  # before xdist's worker sends the result
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Put what a test has judged with its result, and keep what comes here."""
        if self._made:
            vars(report)[KEY] = self._drained(report.nodeid)
        if not self.on_worker:
            self._sent += getattr(report, KEY, [])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Keep what a worker judged outside of its tests."""
        self._sent += getattr(node, "workeroutput", {}).get(KEY, [])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file, or on a worker send home what no test has taken along."""
        rest = [*self._outside, *self._drained("")]
        if self.on_worker:
            session.config.workeroutput[KEY] = rest  # type: ignore[attr-defined]  # xdist's
            return
        try:
            self._write([*self._sent, *rest])
        except OutputError as error:
            self.problem = error.message
            if session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell why there is no file."""
        if self.problem:
            terminalreporter.write_line(f"ERROR: --attnscope-report: {self.problem}", red=True)

    def _drained(self, test: str) -> list[str]:
        """What was judged since the last call, as text, named after a test."""
        if not self._made:
            return []
        from attnscope.transport import packed

        reports, self._made[:] = tuple(self._made), ()
        return [packed(named(report, test)) for report in reports]

    def _write(self, texts: list[str]) -> None:
        from attnscope.files import write
        from attnscope.transport import unpacked

        write(self.path, written([unpacked(text) for text in texts], self.path.suffix.lower()))


def named(report: Report, test: str) -> Report:
    """The report on `MODEL in TEST`, where a test made it."""
    if not test:
        return report
    return replace(report, model=replace(report.model, name=f"{report.model.name} in {test}"))


def written(reports: Sequence[Report], suffix: str) -> str:
    """The reports in the form that an ending of `FORMS` stands for."""
    from attnscope import __version__
    from attnscope.render.reports import of_reports
    from attnscope.render.reports.html import html_page
    from attnscope.render.reports.junit import junit
    from attnscope.render.reports.markdown import markdown
    from attnscope.render.reports.sarif import Run, sarif

    if suffix == ".json":
        return _json(reports)
    run = Run(version=__version__, exit_code=exit_code(reports))
    emitters: dict[str, Callable[[Sequence[Entry]], str]] = {
        ".xml": junit,
        ".sarif": lambda entries: sarif(entries, run),
        ".md": markdown,
        ".html": lambda entries: html_page(entries, "attnscope in pytest"),
    }
    return emitters[suffix](of_reports(reports))


def _json(reports: Sequence[Report]) -> str:
    from attnscope.render.report_json import report_json

    data = {
        "schema": SCHEMA,
        "reports": [report_json(report) for report in reports],
        "exit_code": exit_code(reports),
    }
    return json.dumps(data, allow_nan=False) + "\n"


def exit_code(reports: Sequence[Report]) -> int:
    """Of all reports together: a leak over an error over nothing checked over clean.

    No report at all is nothing checked (3).
    """
    codes = {report.exit_code for report in reports} or {3}
    return next((code for code in (1, 2, 3) if code in codes), 0)


def require_file(path: Path, name: str) -> None:
    """Tell a file that cannot be written before any test runs.

    Raises pytest.UsageError.
    """
    if path.suffix.lower() not in FORMS:
        endings = ", ".join(FORMS[:-1])
        raise pytest.UsageError(
            f"--attnscope-report: {name!r} does not end in {endings} or {FORMS[-1]}."
        )
    from attnscope.files import require_place

    try:
        require_place(path)
    except OutputError as error:
        raise pytest.UsageError(f"--attnscope-report: {error.message}") from None
