"""A lost process is asked again without compiled kernels; what it comes to is kept once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from attnscope.census import run as module
from attnscope.census.cases import Case
from attnscope.census.judge import Ask
from attnscope.census.ledger import read
from attnscope.census.run import CensusOptions, Standing, census
from attnscope.records.census import Row

ONLY = ("gpt2", "llama", "opt")


class Judged:
    """In place of the workers: llama is lost wherever FlexAttention is asked for."""

    def __init__(self, always: bool = False) -> None:
        self.always = always
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def __call__(
        self, cases: Sequence[Case], judge: Any, ask: Ask, *, jobs: int, limit: float, watch: Any
    ) -> Generator[Row]:
        for case in cases:
            self.asked.append((case.key, ask.backends))
            watch([case])
            lost = case.key == "llama" and (self.always or "flex_attention" in ask.backends)
            yield Row(
                model_type=case.model_type, state="error" if lost else "pass",
                reason="its process was ended by SIGABRT" if lost else "",
                backends=() if lost else ask.backends, seconds=2.0,
            )  # fmt: skip


def test_once_more_without_compiled_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Judged()
    monkeypatch.setattr(module, "judged", fake)
    told: list[Standing] = []
    path = tmp_path / "rows.jsonl"
    found = census(CensusOptions(only=ONLY, resume=path), told.append)
    rows = {row.key: row for row in found.rows}
    assert [row.state for row in found.rows] == ["pass"] * 3
    assert rows["llama"].backends == ("eager", "sdpa")
    assert rows["llama"].without == (("flex_attention", "its process was ended by SIGABRT"),)
    assert rows["llama"].seconds == 4.0
    assert fake.asked[-1] == ("llama", ("eager", "sdpa"))
    assert len(fake.asked) == 4
    assert [row.key for row in read(path).rows] == [*ONLY]
    assert (told[-1].done, told[-1].of, told[-1].lost) == (3, 3, 0)

    census(CensusOptions(only=ONLY, resume=path))
    assert len(fake.asked) == 4


def test_lost_again_is_one_row_without_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "judged", Judged(always=True))
    found = census(CensusOptions(only=ONLY))
    rows = {row.key: row for row in found.rows}
    assert rows["llama"].state == "error"
    assert rows["llama"].reason == "its process was ended by SIGABRT"
    assert rows["gpt2"].state == rows["opt"].state == "pass"


def test_without_compiled_backends_nothing_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Judged(always=True)
    monkeypatch.setattr(module, "judged", fake)
    census(CensusOptions(only=ONLY, backends=("eager",)))
    assert len(fake.asked) == 3


def test_a_share_is_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "judged", Judged())
    parts = [census(CensusOptions(only=ONLY, shard=(number, 2))).rows for number in (1, 2)]
    assert [[row.key for row in rows] for rows in parts] == [["gpt2", "opt"], ["llama"]]
