"""The examples of docs/testing.md run as printed, and print what the page says."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from attnscope import verify
from tests.docs.outputs import alike

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
SHOWN = re.findall(r"```console\n\$ pytest .*\n((?:.*\n)*?)```", PAGE)

takes_keywords = pytest.mark.skipif(
    all(one.kind is not one.VAR_KEYWORD for one in inspect.signature(verify).parameters.values()),
    reason="attnscope.verify takes no models of one's own yet",
)


def test_every_example_is_a_file() -> None:
    assert set(FILES) == {"test_model", "test_checkpoint", "test_backends"}
    assert PAGE.count("```python") == len(FILES)
    assert PAGE.count("```console") == len(SHOWN) == 2


@pytest.mark.slow
@takes_keywords
def test_the_examples_print_what_the_page_says(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile(**FILES)
    result = pytester.runpytest_subprocess(
        "-p", "attnscope.pytest_plugin", "-v", "--attnscope-report", "judged.json"
    )
    result.assert_outcomes(passed=6, failed=1)
    failure = "\n".join(line for line in result.outlines if line.startswith("E  "))
    assert alike(failure, SHOWN[0]), failure
    passed = [line.split(" ")[0] for line in result.outlines if " PASSED " in line]
    assert set(re.findall(r"^\S+", SHOWN[1], re.MULTILINE)) <= set(passed)
    data = json.loads((pytester.path / "judged.json").read_text(encoding="utf-8"))
    names = [one["model"]["name"] for one in data["reports"]]
    assert "textbook in test_checkpoint.py::test_no_token_sees_the_future" in names
    assert (len(names), data["exit_code"]) == (7, 1)
