"""Fixtures: pytest sessions of their own, in which verdicts are made up.

Whether attnscope is installed as a pytest plugin or not: no plugin is loaded but those named.
PYTEST_DONT_REWRITE: its names are imported before pytest loads its fixtures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attnscope
import attnscope.api  # sessions in this process forget what they import; torch bears no second time
import attnscope.cli.output
import attnscope.render.reports.html
import attnscope.render.reports.junit
import attnscope.render.reports.markdown
import attnscope.render.reports.sarif
import attnscope.transport
from tests.render import reports

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
