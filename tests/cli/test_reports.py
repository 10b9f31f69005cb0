"""`--format`, `--report` and `-o`: what is written where, and what cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from attnscope import api
from attnscope.cli.exit import run
from attnscope.cli.reports import SUMMARY, SUMMARY_BYTES
from attnscope.report import Report
from tests.census.test_ledger import ROWS, written
from tests.render import reports

FORMS = ("table", "json", "junit", "sarif", "github", "markdown", "html")
SIGNS: dict[str, Callable[[str], bool]] = {
    "table": lambda text: "ATN301 future-influence" in text,
    "json": lambda text: "exit_code" in json.loads(text),
    "junit": lambda text: fromstring(text).tag == "testsuites",
    "sarif": lambda text: json.loads(text)["version"] == "2.1.0",
    "github": lambda text: text.startswith("attnscope: "),
    "markdown": lambda text: text.startswith(("## ", "# Census")),
    "html": lambda text: text.startswith("<!doctype html>"),
}
VERDICTS = [("passing", 0), ("leaking", 1), ("broken", 2), ("unchecked", 3), ("accepted", 0)]

Told = pytest.CaptureFixture[str]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    """In place of the engine: it answers with the first of these, and takes it away."""
    listed: list[Report] = []
    monkeypatch.setattr(api, "verify", lambda *asked, **named: listed.pop(0))
    monkeypatch.delenv(SUMMARY, raising=False)
    return listed


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "code"), VERDICTS)
def test_the_exit_code_is_the_verdicts(
    name: str, code: int, form: str, judged: list[Report], capsys: Told
) -> None:
    judged.append(reports.ALL[name]())
    assert run(["verify-mask", "m", "--format", form]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert SIGNS[form](captured.out)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("rows", "code"), [(ROWS, 1), (ROWS[1:], 0), (ROWS[2:], 3)])
def test_so_it_is_for_a_census(
    rows: Any, code: int, form: str, tmp_path: Path, capsys: Told
) -> None:
    path = written(tmp_path / "rows.jsonl", *rows)
    assert run(["census", "--from", str(path), "--format", form]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert form == "table" or SIGNS[form](captured.out)


def test_reports_are_written_beside_the_table(
    judged: list[Report], tmp_path: Path, capsys: Told
) -> None:
    judged.append(reports.leaking())
    asked = [part for form in FORMS for part in ("--report", f"{form}:{tmp_path / form}.out")]
    assert run(["verify-mask", "m", *asked]) == 1
    captured = capsys.readouterr()
    assert "LEAK" in captured.out
    assert captured.err == ""
    for form in FORMS:
        assert SIGNS[form]((tmp_path / f"{form}.out").read_text()), form
    assert len(list(tmp_path.iterdir())) == len(FORMS)


def test_reports_of_a_census(tmp_path: Path, capsys: Told) -> None:
    path = str(written(tmp_path / "rows.jsonl", *ROWS))
    report, out = tmp_path / "a.sarif", tmp_path / "a.md"
    asked = ["census", "--from", path, "--report", f"sarif:{report}", "-o", str(out)]
    assert run([*asked, "--sarif-anchor", "docs/models.md:3"]) == 1
    assert capsys.readouterr() == ("", "")
    assert out.read_text().startswith("# Census")
    (result,) = json.loads(report.read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "docs/models.md"
    assert place["region"]["startLine"] == 3


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.xml", "junit"), ("a.sarif", "sarif"), ("a.sarif.json", "sarif"), ("a.json", "json"),
        ("a.md", "markdown"), ("a.html", "html"), ("a.HTM", "html"), ("a.txt", "table"),
    ],
)  # fmt: skip
def test_the_ending_picks_the_form(
    name: str, form: str, judged: list[Report], tmp_path: Path, capsys: Told
) -> None:
    judged.append(reports.leaking())
    assert run(["verify-mask", "m", "-o", str(tmp_path / name)]) == 1
    assert capsys.readouterr() == ("", "")
    assert SIGNS[form]((tmp_path / name).read_text())


def test_a_form_that_is_named_counts_more_than_an_ending(
    judged: list[Report], tmp_path: Path
) -> None:
    judged.append(reports.leaking())
    path = tmp_path / "a.json"
    assert run(["verify-mask", "m", "--format", "sarif", "-o", str(path)]) == 1
    assert SIGNS["sarif"](path.read_text())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--report", "junit"], "--report 'junit' is no FORM:FILE"),
        (["--report", "junit:"], "is no FORM:FILE"),
        (["--report", "junit:-"], "is no FORM:FILE"),
        (["--report", ""], "is no FORM:FILE"),
        (["--report", "xml:a.xml"], "--report 'xml' is no form. Choose from table, json"),
        (["--report", "junit:/nowhere/a.xml"], "cannot be written"),
        (["--report", "junit:/"], "is a directory"),
        (["--report", "sarif:a", "--report", "junit:./a"], "'a' is named twice"),
        (["-o", "a", "--report", "junit:a"], "'a' is named twice"),
        (["--format", "xml"], "--format"),
        (["--sarif-anchor", "/etc/passwd"], "is no file of the repository"),
        (["--sarif-anchor", "../a"], "is no file of the repository"),
        (["--sarif-anchor", "a:0"], "is no file of the repository"),
        (["--sarif-anchor", ""], "is no file of the repository"),
    ],
)
@pytest.mark.parametrize("command", [["verify-mask", "m"], ["census"]])
def test_mistakes_are_one_line_before_any_work(
    command: list[str], asked: list[str], words: str, judged: list[Report], capsys: Told,
    empty: Path,
) -> None:  # fmt: skip
    assert run([*command, *asked]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert list(empty.iterdir()) == []


def test_no_other_file_is_written_over(capsys: Told, tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    assert run(["verify-mask", "m", "--report", f"html:{path}", "--reproducer", path]) == 2
    assert "is named twice" in capsys.readouterr().err
    assert run(["census", "-o", path, "--resume", path]) == 2
    assert "is named twice" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_one_that_cannot_be_written_takes_no_other_with_it(
    judged: list[Report], tmp_path: Path, capsys: Told
) -> None:
    judged.append(reports.leaking())
    script, last = tmp_path / "leak.py", tmp_path / "b.sarif"
    asked = ["--report", "junit:/dev/full", "--report", f"sarif:{last}"]
    assert run(["verify-mask", "m", *asked, "--reproducer", str(script)]) == 2
    captured = capsys.readouterr()
    assert "LEAK" in captured.out
    assert captured.err.splitlines()[0] == (
        "attnscope: '/dev/full' cannot be written: no space left on device."
    )
    assert SIGNS["sarif"](last.read_text())
    assert script.exists()


def test_a_place_that_goes_away_leaves_nothing_half_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Told
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    def verify(*asked: Any, **named: Any) -> Report:
        gone.rmdir()
        return reports.passing()

    monkeypatch.setattr(api, "verify", verify)
    kept = tmp_path / "kept.xml"
    asked = ["-o", str(gone / "a.html"), "--report", f"junit:{kept}"]
    assert run(["verify-mask", "m", *asked]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert os.listdir(tmp_path) == ["kept.xml"]


def test_the_summary_of_a_job_is_appended_to(
    judged: list[Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(SUMMARY, str(summary))
    judged += [reports.leaking(), reports.passing(), reports.passing()]
    assert run(["verify-mask", "m", "--format", "github"]) == 1
    assert summary.read_text().startswith("before\n## ❌ LEAK")
    assert run(["verify-mask", "m", "--report", f"github:{tmp_path / 'a'}"]) == 0
    assert "## ✅ PASS" in summary.read_text()
    size = summary.stat().st_size
    assert run(["verify-mask", "m"]) == 0
    assert summary.stat().st_size == size


@pytest.mark.slow
def test_a_summary_that_is_too_long_is_cut(
    judged: list[Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv(SUMMARY, str(summary))
    judged.append(reports.make_report(notes=("é" * 99,) * 10_000))
    assert run(["verify-mask", "m", "--format", "github"]) == 0
    assert summary.stat().st_size < SUMMARY_BYTES + 100
    assert summary.read_text().endswith("(cut: the report is longer)\n")


def test_a_summary_that_cannot_be_written(
    judged: list[Report], monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    monkeypatch.setenv(SUMMARY, "/nowhere/summary.md")
    assert run(["verify-mask", "m", "--format", "github"]) == 2
    assert "/nowhere/summary.md" in capsys.readouterr().err
    judged.append(reports.passing())
    assert run(["verify-mask", "m"]) == 0


def test_a_real_model(tmp_path: Path, capsys: Told) -> None:
    asked = [part for form in FORMS for part in ("--report", f"{form}:{tmp_path / form}")]
    assert run(["verify-mask", "textbook", "--quick", "--backend", "eager", *asked]) == 0
    assert "PASS" in capsys.readouterr().out
    for form in FORMS:
        assert SIGNS[form]((tmp_path / form).read_text()), form
    suite = fromstring((tmp_path / "junit").read_text()).find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
