"""The benchmarks' page says what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.page import BLOCKS, MARKED, PAGE, plots, written
from tests.benchmarks.record import HOME, read, save


def timed(way: str, tokens: int, base: list[float], run: list[float]) -> dict[str, Any]:
    made = {"date": "2026-01-02", "processor": "P", "cores": 2, "versions": {"torch": "2.0"}}
    of = {"part": "time", "way": way, "base": "plain sdpa", "tokens": tokens}
    return {"of": of, "numbers": {"base": base, "run": run}, "made": made}


def test_the_page_holds_what_is_kept() -> None:
    page = PAGE.read_text()
    assert written(page, HOME) == page, "run python -m tests.benchmarks.page"


def test_the_pictures_show_what_is_kept() -> None:
    drawn = plots(HOME)
    assert {path.name for path in HOME.glob("*.svg")} == {*drawn}
    for name, content in drawn.items():
        assert (HOME / name).read_text() == content, "run python -m tests.benchmarks.page"


def test_every_block_has_its_place_and_no_other() -> None:
    assert sorted(found[1] for found in MARKED.finditer(PAGE.read_text())) == sorted(BLOCKS)


def test_a_block_gives_minimum_median_and_maximum_of_the_pairs(tmp_path: Path) -> None:
    rows = [
        timed("heads", 128, [1.0, 2.0, 4.0], [3.0, 4.0, 4.0]),  # 3, 2 and 1 times
        timed("trace", 256, [1.0, 1.0, 1.0], [5.0, 5.0, 7.0]),
    ]
    save(tmp_path / "capture.jsonl", rows)
    before = "by hand\n<!-- capture:start -->\nold\n<!-- capture:end -->\nalso by hand\n"
    page = written(before, tmp_path)
    assert "| heads | plain sdpa | 1.00 / 2.00 / 3.00 (3) |  |\n" in page
    assert "| trace | plain sdpa |  | 5.00 / 5.00 / 7.00 (3) |\n" in page
    assert "2026-01-02; P, 2 cores; torch 2.0." in page
    assert page.startswith("by hand\n")
    assert page.endswith("also by hand\n")
    assert "old" not in page
    assert written(page, tmp_path) == page
    assert plots(tmp_path)["capture_time.svg"].count("<circle") == 4  # the base is a line, too


def test_a_row_that_is_measured_again_takes_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    save(path, [timed("heads", 128, [1.0], [3.0]), timed("trace", 128, [1.0], [4.0])])
    save(path, [timed("heads", 128, [1.0], [2.0])])
    found = [(one["of"]["way"], one["numbers"]["run"]) for one in read(path)]
    assert found == [("heads", [2.0]), ("trace", [4.0])]
