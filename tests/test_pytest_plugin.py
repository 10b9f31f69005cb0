"""The fixture, the marker and the report file, in pytest sessions of their own.

Whether attnscope is installed as a pytest plugin or not: no plugin is loaded but those named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attnscope
import attnscope.api  # sessions in this process forget what they import; torch bears no second time
import attnscope.cli.output
import attnscope.transport
from attnscope.pytest_report import exit_code, named
from attnscope.testing import recorders
from tests.render import reports

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PLUGIN = ("-p", "attnscope.pytest_plugin")
XDIST = ("-p", "xdist.plugin", "-n", "2")
FAKE = """
import attnscope

def verify(model, options=None, **given):
    from dataclasses import replace
    from attnscope.render.demo import leaking

    return replace(leaking(), outcome=model)

attnscope.verify = verify
"""
"""A conftest for sessions in other processes: the model's name is the verdict."""
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

Session = Callable[..., pytest.RunResult]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `attnscope.verify` is asked; its answer is the report that the model names."""
    calls: list[Any] = []

    def verify(model: str, options: Any = None, **given: Any) -> Any:
        calls.append((model, options, given))
        return reports.ALL[model]()

    monkeypatch.setattr(attnscope, "verify", verify, raising=False)
    return calls


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Runs pytest in this process on a test file's text."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_user=text)
        return pytester.runpytest_inprocess(*PLUGIN, *options)

    return run


@pytest.fixture
def process(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Runs pytest in another process, where verdicts are made up as well."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makeconftest(FAKE)
        pytester.makepyfile(test_user=text)
        return pytester.runpytest_subprocess(*PLUGIN, *options)

    return run


def written(path: Path) -> Any:
    return json.loads((path / "judged.json").read_text(encoding="utf-8"))


def names(path: Path) -> list[tuple[str, str]]:
    return sorted((one["model"]["name"], one["outcome"]) for one in written(path)["reports"])


def test_the_project_offers_it_to_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"attnscope": "attnscope.pytest_plugin"}


def test_it_imports_pytest_and_the_standard_library_alone() -> None:
    heavy = "{'torch', 'transformers', 'rich', 'typer', 'numpy', 'huggingface_hub'}"
    script = f"import attnscope.pytest_plugin, sys; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures"])
def test_a_session_without_it_costs_no_torch(tmp_path: Path, option: str) -> None:
    script = (
        "import pytest, sys; code = pytest.main(sys.argv[1:]);"
        "print(int(code), 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", script, *PLUGIN, option],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, torch, transformers = ran.stdout.split("\n")[-2].split()
    assert code == ("0" if option == "--fixtures" else "5")
    assert (torch, transformers) == ("False", "False")


def test_a_pass_is_a_pass_and_says_nothing(session: Session, asked: list[Any]) -> None:
    result = session(
        "def test_one(assert_causal):\n"
        "    report = assert_causal('passing', seed=3)\n"
        "    assert report.outcome == 'pass'\n",
        "-q",
    )
    result.assert_outcomes(passed=1)
    assert asked == [("passing", None, {"seed": 3})]
    assert result.outlines[0].startswith(".")
    assert "attnscope" not in result.stdout.str()


@pytest.mark.parametrize("way", ["fixture", "import"])
@pytest.mark.parametrize("name", ["leaking", "unchecked", "broken"])
def test_a_failure_shows_the_callers_line_and_the_brief(
    session: Session, asked: list[Any], name: str, way: str
) -> None:
    start = "def test_one(assert_causal):\n" if way == "fixture" else (
        "from attnscope.testing import assert_causal\ndef test_one():\n"
    )  # fmt: skip
    result = session(f"{start}    assert_causal({name!r})\n")
    result.assert_outcomes(failed=1)
    shown = [line for line in result.outlines if line.startswith("E  ")]
    brief = str(reports.ALL[name]()).split("\n")
    assert [line[1:].strip() for line in shown] == [
        f"AssertionError: {brief[0]}", *(line.strip() for line in brief[1:]),
    ]  # fmt: skip
    assert len(shown) <= 12
    result.stdout.fnmatch_lines([f">*assert_causal({name!r})", "test_user.py:*: AssertionError"])
    assert "attnscope/" not in result.stdout.str().replace("\\", "/")


@pytest.mark.parametrize(
    ("marked", "ids"),
    [
        ("backends=['sdpa', 'eager']", {"sdpa": ("sdpa", None), "eager": ("eager", None)}),
        ("lengths=(33,)", {"33": (None, 33)}),
        (
            "backends=['sdpa', 'eager'], lengths=[9, 33]",
            {f"{one}-{each}": (one, each) for one in ("sdpa", "eager") for each in (9, 33)},
        ),
    ],
)
def test_a_marked_test_runs_for_each_backend_and_length(
    session: Session, asked: list[Any], marked: str, ids: dict[str, Any]
) -> None:
    text = (
        f"import pytest\n@pytest.mark.attnscope({marked})\n"
        "def test_one(assert_causal):\n    assert_causal('passing')\n"
    )
    result = session(text, "-v", "--strict-markers")
    result.assert_outcomes(passed=len(ids))
    result.stdout.fnmatch_lines([f"test_user.py::test_one?{one}? PASSED*" for one in ids])
    asked_for = [given for _, _, given in asked]
    assert asked_for == [
        ({"backends": (backend,)} if backend else {}) | ({"length": length} if length else {})
        for backend, length in ids.values()
    ]


def test_what_a_test_says_itself_comes_first(session: Session, asked: list[Any]) -> None:
    session(
        "import pytest\nfrom attnscope import VerifyOptions\n"
        "@pytest.mark.attnscope(backends=['sdpa'], lengths=[9])\n"
        "def test_one(assert_causal):\n"
        "    assert_causal('passing', length=5)\n"
        "    assert_causal('passing', VerifyOptions(backends=('eager',)))\n"
    ).assert_outcomes(passed=1)
    assert [given for _, _, given in asked] == [{"length": 5, "backends": ("sdpa",)}, {"length": 9}]


def test_a_fixture_that_uses_the_fixture_is_marked_with_its_test(
    session: Session, asked: list[Any]
) -> None:
    session(
        "import pytest\n"
        "@pytest.fixture\ndef judged(assert_causal):\n    return assert_causal('passing')\n"
        "@pytest.mark.attnscope(lengths=[9, 17])\nclass TestOne:\n"
        "    @pytest.mark.parametrize('x', [1, 2])\n"
        "    def test_one(self, judged, x):\n        pass\n"
    ).assert_outcomes(passed=4)
    assert sorted(given["length"] for _, _, given in asked) == [9, 9, 17, 17]


MISUSES = [
    ("backend=['sdpa']", "assert_causal", "it takes backends and lengths, not backend"),
    ("backends=[]", "assert_causal", "backends is not a list of at least one"),
    ("backends='sdpa'", "assert_causal", "backends is not a list of at least one"),
    ("lengths=[True]", "assert_causal", "lengths holds something else than int"),
    ("['sdpa']", "assert_causal", "it takes backends=[[]…[]], lengths=[[]…[]] or both, by name"),
    ("", "assert_causal", "it takes backends=[[]…[]], lengths=[[]…[]] or both, by name"),
    ("backends=['sdpa']", "", "the test does not use the fixture assert_causal"),
]


@pytest.mark.parametrize(("marked", "fixture", "words"), MISUSES)
def test_a_misused_marker_is_one_clear_error(
    session: Session, marked: str, fixture: str, words: str
) -> None:
    text = f"import pytest\n@pytest.mark.attnscope({marked})\ndef test_one({fixture}):\n    pass\n"
    result = session(text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"@pytest.mark.attnscope of test_user.py::test_one: {words}."])
    assert "Traceback" not in result.stdout.str()
    assert "attnscope/pytest_plugin.py" not in result.stdout.str()


def test_a_marked_unittest_does_not_pass(session: Session) -> None:
    result = session(
        "import pytest, unittest\nclass TestOne(unittest.TestCase):\n"
        "    @pytest.mark.attnscope(backends=['sdpa'])\n    def test_one(self):\n        pass\n"
    )
    result.assert_outcomes(errors=1)


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


def test_a_misused_marker_is_told_by_workers_too(process: Session) -> None:
    result = process(
        "import pytest\n@pytest.mark.attnscope(backend='sdpa')\ndef test_one(assert_causal):\n"
        "    pass\n",
        *XDIST,
    )
    assert result.ret != 0
    result.stdout.fnmatch_lines(["@pytest.mark.attnscope of *not backend."])
    assert "INTERNALERROR" not in result.stdout.str()


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
