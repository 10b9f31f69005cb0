"""What the docs show is what the commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.outputs import PAGES, alike, blocks, printed

ROOT = Path(__file__).parents[2]
SHOWN = [pair for page in PAGES for pair in blocks((ROOT / page).read_text(encoding="utf-8"))]


def test_pages_have_outputs() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert text.count("```console") == len(blocks(text)) > 5


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_an_output_is_real(command: str, output: str) -> None:
    """Write them anew with `python -m tests.docs.outputs`."""
    again = printed(command)
    assert alike(again, output), f"{command} prints now:\n{again}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.2327 mat", "0.2327 mat", True),
        ("0.2327 mat", "0.2328 mat", True),
        ("0.2327 mat", "0.2337 mat", False),
        ("0.2327 mat", "0.2327 cat", False),
        ("1.0e-08, verified", "3.1e-08, verified", True),
        ("1.0e-08, verified", "3.1e-02, verified", False),
        ("10 cells", "11 cells", False),
        ("38% of", "39% of", True),
        ("38% of", "48% of", False),
        ("■ □", "■ ■", False),
        ("━━━╸", "━━━━", True),
        ("one two", "one", False),
    ],
)
def test_what_counts_as_the_same(one: str, other: str, same: bool) -> None:
    assert alike(one, other) == same
