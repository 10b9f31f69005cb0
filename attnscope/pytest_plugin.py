"""attnscope's part in pytest: the fixture `assert_causal`, its marker, and `--attnscope-report`.

pytest loads this module wherever attnscope is installed, so it imports nothing but pytest and the
standard library; torch is imported when a test judges a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from attnscope.report import Report

MARK = "attnscope"
FIXTURE = "assert_causal"
TAKES = {"backends": str, "lengths": int}
"""Keywords of the marker, and what their lists hold."""
USAGE = (
    "attnscope(backends=[…], lengths=[…]): run a test that uses assert_causal once for each backend"
    " and each number of tokens"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer `--attnscope-report FILE`."""
    parser.getgroup("attnscope", "no token sees the future").addoption(
        "--attnscope-report",
        metavar="FILE",
        help="write everything that assert_causal judged to FILE: .json, .xml (JUnit), .sarif, .md"
        " or .html",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and what collects reports where a file was asked for.

    Raises pytest.UsageError when the file cannot be written.
    """
    config.addinivalue_line("markers", USAGE)
    name = config.getoption("attnscope_report")
    if name is not None:
        from attnscope.pytest_report import ReportFile

        config.pluginmanager.register(ReportFile(config, name), "attnscope-report")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test once for each backend and each length.

    Raises CollectError for a misused marker: unlike UsageError, xdist's workers can report it.
    """
    definition = metafunc.definition
    if problem := misuse(definition, metafunc.fixturenames):
        raise pytest.Collector.CollectError(problem)
    mark = definition.get_closest_marker(MARK)
    if mark is None:
        return
    named = {"backends": [], "lengths": [], **mark.kwargs}
    backends = [{"backends": (backend,)} for backend in named["backends"]] or [{}]
    lengths = [{"length": length} for length in named["lengths"]] or [{}]
    pairs: list[dict[str, Any]] = [one | other for one, other in product(backends, lengths)]
    metafunc.parametrize(FIXTURE, pairs, indirect=True, ids=[_readable(pair) for pair in pairs])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail marked tests that no hook parametrises, such as unittest's: none may seem checked."""
    if problem := misuse(item, getattr(item, "fixturenames", ())):
        pytest.fail(problem, pytrace=False)


@pytest.fixture
def assert_causal(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """Assert that no token of a model sees the future: `assert_causal(model, backends=("sdpa",))`.

    Takes what `attnscope.verify` takes and returns its report; fails the test with the worst
    finding, and also when nothing could be checked. `@pytest.mark.attnscope(backends=[…],
    lengths=[…])` runs the test once for each.
    """
    marked: dict[str, Any] = getattr(request, "param", {})

    def judged(model: Any, options: Any = None, **given: Any) -> Report:
        __tracebackhide__ = True
        from attnscope import testing

        missing = {
            name: value
            for name, value in marked.items()
            if name not in given and not getattr(options, name, None)
        }
        return testing.assert_causal(model, options, **given, **missing)

    return judged


def misuse(item: pytest.Item, fixtures: Sequence[str]) -> str:
    """What is wrong with the markers of a test that uses these fixtures; empty when nothing is."""
    for mark in item.iter_markers(MARK):
        problem = _arguments(mark)
        if not problem and FIXTURE not in fixtures:
            problem = f"the test does not use the fixture {FIXTURE}"
        if problem:
            return f"@pytest.mark.{MARK} of {item.nodeid}: {problem}."
    return ""


def _arguments(mark: pytest.Mark) -> str:
    if mark.args or not mark.kwargs:
        return "it takes backends=[…], lengths=[…] or both, by name"
    for name, values in mark.kwargs.items():
        if name not in TAKES:
            return f"it takes backends and lengths, not {name}"
        kind = TAKES[name]
        if not isinstance(values, (list, tuple)) or not values:
            return f"{name} is not a list of at least one"
        if not all(type(value) is kind for value in values):
            return f"{name} holds something else than {kind.__name__}"
    return ""


def _readable(pair: dict[str, Any]) -> str:
    """For example `sdpa-33`."""
    words = [*pair.get("backends", ()), *([str(pair["length"])] if "length" in pair else [])]
    return "-".join(words)
