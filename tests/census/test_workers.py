"""One process a case: whatever goes wrong costs one row, and nothing is left running."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from attnscope.census.cases import Case
from attnscope.census.workers import judged
from attnscope.records.census import Row
from tests.census.planted import judge


def run(names: Sequence[str], told: Path, *, limit: float = 60.0, jobs: int = 2) -> dict[str, Row]:
    cases = [Case(model_type=name) for name in names]
    coming = judged(cases, judge, told, jobs=jobs, limit=limit, watch=lambda now: None)
    return {row.model_type: row for row in coming}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def begun(told: Path) -> dict[str, int]:
    lines = [line.split() for line in told.read_text().splitlines()]
    return {name: int(pid) for name, pid in lines}


def test_each_loss_costs_one_row(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = ["one", "crash", "killed", "leave", "wrong", "memory", "exit", "two"]
    rows = run(names, tmp_path / "told")
    assert sorted(rows) == sorted(names)
    assert rows["one"].state == rows["two"].state == "pass"
    assert {name for name, row in rows.items() if row.state == "error"} == {*names} - {"one", "two"}
    reasons = {name: row.reason for name, row in rows.items()}
    assert reasons["crash"] == "its process was ended by SIGABRT"
    assert reasons["killed"] == (
        "its process was ended by SIGKILL: the system may have been out of memory"
    )
    assert reasons["leave"] == "the checker's own failure: SystemExit: 0"
    assert reasons["wrong"] == "the checker's own failure: ValueError: a wrong"
    assert reasons["memory"].startswith("out of memory (RuntimeError: ")
    assert reasons["exit"] == "its process left with exit code 7"
    assert "never seen" not in "".join(capfd.readouterr())


def test_a_hang_costs_its_time_and_one_row(tmp_path: Path) -> None:
    run(["one"], tmp_path / "first")  # the process that workers are copies of has started
    started = time.monotonic()
    rows = run(["one", "hang", "two", "three"], tmp_path / "told", limit=6.0)
    assert time.monotonic() - started < 30
    assert [rows[name].state for name in ("one", "two", "three")] == ["pass"] * 3
    assert rows["hang"].state == "error"
    assert rows["hang"].reason == "it took longer than 6 seconds and was ended"
    assert rows["hang"].seconds >= 6
    assert not any(alive(pid) for pid in begun(tmp_path / "told").values())


def test_whoever_stops_listening_leaves_nothing_running(tmp_path: Path) -> None:
    cases = [Case(model_type=name) for name in ("one", "hang", "two")]
    told = tmp_path / "told"
    coming = judged(cases, judge, told, jobs=2, limit=600.0, watch=lambda now: None)
    with closing(coming):
        assert next(coming).model_type == "one"
        while "hang" not in told.read_text():
            time.sleep(0.05)
    assert not alive(begun(told)["hang"])
    assert "two" not in begun(told) or not alive(begun(told)["two"])


def test_no_more_than_jobs_at_a_time(tmp_path: Path) -> None:
    cases = [Case(model_type=name) for name in ("one", "two", "three")]
    most: list[int] = []
    coming = judged(
        cases, judge, tmp_path / "told", jobs=1, limit=60.0,
        watch=lambda now: most.append(len(now)),
    )  # fmt: skip
    assert [row.model_type for row in coming] == ["one", "two", "three"]
    assert max(most) == 1
