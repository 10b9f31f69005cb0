"""`pytest --attnscope-report`: everything that was judged, in one file, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attnscope.pytest_report import exit_code, named
from attnscope.testing import recorders
from tests.render import reports
from tests.sessions import XDIST, Session

pytest_plugins = ["pytester", "tests.sessions"]

USER = """
from attnscope.testing import assert_causal as imported

def test_fixture(assert_causal):
    assert_causal("pass")

def test_import():
    imported("fail")

def test_twice(assert_causal):
    assert_causal("pass")
    assert_causal("skip")

def test_nothing():
    pass
"""


def written(path: Path) -> Any:
    return json.loads((path / "judged.json").read_text(encoding="utf-8"))


def names(path: Path) -> list[tuple[str, str]]:
    return sorted((one["model"]["name"], one["outcome"]) for one in written(path)["reports"])


def test_all_that_was_judged_is_written(
    session: Session, asked: list[Any], pytester: pytest.Pytester
) -> None:
    text = USER.replace("'", '"').replace('"pass"', '"passing"').replace('"fail"', '"leaking"')
    result = session(text.replace('"skip"', '"unchecked"'), "--attnscope-report", "judged.json")
    result.assert_outcomes(passed=2, failed=2)
    assert names(pytester.path) == [
        ("tiny in test_user.py::test_fixture", "pass"),
        ("tiny in test_user.py::test_import", "fail"),
        ("tiny in test_user.py::test_twice", "pass"),
        ("tiny in test_user.py::test_twice", "skip"),
    ]
    data = written(pytester.path)
    assert (data["schema"], data["exit_code"]) == (1, 1)
    assert [path.name for path in pytester.path.glob("*judged*")] == ["judged.json"]
    assert recorders == []


def test_what_was_judged_before_any_test_is_written_too(
    session: Session, asked: list[Any], pytester: pytest.Pytester
) -> None:
    session(
        "from attnscope.testing import assert_causal\nassert_causal('leaking')\n",
        "--attnscope-report=judged.json",
    ).assert_outcomes(errors=1)
    assert names(pytester.path) == [("tiny", "fail")]
    session(
        "from attnscope.testing import assert_causal\nassert_causal('passing')\n"
        "def test_one():\n    pass\n",
        "--attnscope-report=judged.json",
    ).assert_outcomes(passed=1)
    assert names(pytester.path) == [("tiny", "pass")]


def test_a_session_that_judged_nothing_writes_an_empty_list(
    session: Session, pytester: pytest.Pytester
) -> None:
    result = session("def test_one():\n    pass\n", "--attnscope-report", "judged.json")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert written(pytester.path) == {"schema": 1, "reports": [], "exit_code": 3}


@pytest.mark.parametrize(
    ("ending", "start"),
    [(".xml", "<?xml"), (".sarif", "{"), (".md", "#"), (".html", "<!doctype html>")],
)
def test_the_ending_says_the_form(
    session: Session, asked: list[Any], pytester: pytest.Pytester, ending: str, start: str
) -> None:
    text = "def test_one(assert_causal):\n    assert_causal('leaking')\n"
    session(text, f"--attnscope-report=judged{ending}").assert_outcomes(failed=1)
    page = (pytester.path / f"judged{ending}").read_text(encoding="utf-8")
    assert page.startswith(start)
    assert "tiny in test" in page
    session("def test_none():\n    pass\n", f"--attnscope-report=judged{ending}")
    page = (pytester.path / f"judged{ending}").read_text(encoding="utf-8")
    assert page
    assert "tiny" not in page


@pytest.mark.slow
def test_workers_send_their_reports_home(process: Session, pytester: pytest.Pytester) -> None:
    """Those of their tests, and what each of the two judged when it imported the module."""
    result = process(USER + "\nimported('pass')\n", *XDIST, "--attnscope-report", "judged.json")
    result.assert_outcomes(passed=2, failed=2)
    assert names(pytester.path) == [
        ("demo", "pass"),
        ("demo", "pass"),
        ("demo in test_user.py::test_fixture", "pass"),
        ("demo in test_user.py::test_import", "fail"),
        ("demo in test_user.py::test_twice", "pass"),
        ("demo in test_user.py::test_twice", "skip"),
    ]
    assert [path.name for path in pytester.path.rglob("*judged*")] == ["judged.json"]


@pytest.mark.slow
def test_a_worker_that_dies_takes_no_other_tests_report(
    process: Session, pytester: pytest.Pytester
) -> None:
    result = process(
        "import os\ndef test_one(assert_causal):\n    assert_causal('pass')\n"
        "def test_two(assert_causal):\n    assert_causal('pass')\n    os._exit(9)\n",
        "-p", "xdist.plugin", "-n", "1", "--max-worker-restart=0",
        "--attnscope-report=judged.json",
    )  # fmt: skip
    assert result.ret == 1
    assert names(pytester.path) == [("demo in test_user.py::test_one", "pass")]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            "missing/judged.json",
            "*missing/judged.json' cannot be written: no such file or directory.",
        ),
        ("judged.txt", "'judged.txt' does not end in .json, .xml, .sarif, .md or .html."),
        ("judged", "'judged' does not end in *"),
        ("place.json", "*place.json' cannot be written: is a directory."),
    ],
)
def test_a_bad_file_is_told_at_the_start(
    session: Session, pytester: pytest.Pytester, file: str, words: str
) -> None:
    (pytester.path / "place.json").mkdir()
    result = session("def test_one():\n    pass\n", "--attnscope-report", file)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --attnscope-report: {words}"])
    assert "passed" not in result.stdout.str()


def test_a_file_that_cannot_be_written_in_the_end_is_an_error(
    session: Session, asked: list[Any], pytester: pytest.Pytester
) -> None:
    (pytester.path / "place").mkdir()
    result = session(
        "import os\ndef test_one(assert_causal):\n    assert_causal('passing')\n"
        f"    os.rmdir({str(pytester.path / 'place')!r})\n",
        "--attnscope-report=place/judged.json",
    )
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["ERROR: --attnscope-report: *cannot be written: no such file*"])
    assert not list(pytester.path.rglob("*judged*"))


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((), 3),
        (("pass",), 0),
        (("pass", "skip"), 3),
        (("skip", "error"), 2),
        (("error", "fail"), 1),
    ],
)
def test_the_worst_of_all_reports_is_the_exit_code(outcomes: tuple[Any, ...], code: int) -> None:
    assert exit_code([reports.make_report(outcome=one) for one in outcomes]) == code


def test_a_report_is_named_after_its_test() -> None:
    assert named(reports.passing(), "a.py::b").model.name == "tiny in a.py::b"
    assert named(reports.passing(), "") == reports.passing()
