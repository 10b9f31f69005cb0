"""The pages of examples run as printed, and print what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.examples import outputs
from tests.docs.outputs import alike

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["examples", "library"])
def test_every_block_prints_what_the_page_says(name: str) -> None:
    """If this fails: python -m tests.docs.examples docs/NAME.md, and read the difference.

    In a process of its own, as a reader would run it: without the type checks of the tests.
    """
    path = ROOT / f"docs/{name}.md"
    command = [sys.executable, "-m", "tests.docs.examples", "--print", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    told, made = outputs(path.read_text(encoding="utf-8")), outputs(done.stdout)
    assert len(told) == len(made)
    for (code, expected), (_, printed) in zip(told, made, strict=True):
        assert alike(printed, expected), f"{code}\nprints\n{printed}"


def test_every_example_has_a_bug_that_is_found() -> None:
    page = (ROOT / "docs/examples.md").read_text(encoding="utf-8")
    assert page.count("\nfail ") == page.count("\njudge(") == 9


def test_importing_the_package_is_light() -> None:
    code = (
        "import attnscope, attnscope.testing, sys;"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "set()"
