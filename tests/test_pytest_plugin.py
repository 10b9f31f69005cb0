"""The fixture and the marker, in pytest sessions of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.render import reports
from tests.sessions import PLUGIN, ROOT, XDIST, Session

pytest_plugins = ["pytester", "tests.sessions"]


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


def test_a_misused_marker_is_told_by_workers_too(process: Session) -> None:
    result = process(
        "import pytest\n@pytest.mark.attnscope(backend='sdpa')\ndef test_one(assert_causal):\n"
        "    pass\n",
        *XDIST,
    )
    assert result.ret != 0
    result.stdout.fnmatch_lines(["@pytest.mark.attnscope of *not backend."])
    assert "INTERNALERROR" not in result.stdout.str()
