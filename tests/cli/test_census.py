"""`attnscope census`: its options, exit codes, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attnscope.census.ledger import Ledger, read
from attnscope.cli.exit import run
from attnscope.records.census import Row
from tests.census.test_ledger import HEADING, ROWS

QUICK = ("--quick", "--backend", "eager")


def saved(path: Path, *rows: Row) -> Path:
    ledger = Ledger(path, HEADING)
    for row in rows:
        ledger.add(row)
    ledger.close()
    return path


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (("pass", "fail", "error"), 1),
        (("pass", "error", "skip"), 2),
        (("pass", "skip"), 3),
        (("pass", "not applicable"), 0),
        (("not applicable",), 3),
    ],
)
def test_exit_codes(tmp_path: Path, states: tuple[Any, ...], code: int) -> None:
    rows = [
        replace(ROWS[1], model_type=f"m{place}", state=each) for place, each in enumerate(states)
    ]
    path = saved(tmp_path / "rows.jsonl", *rows)
    assert run(["census", "--from", str(path), "-o", str(tmp_path / "page.txt")]) == code


def test_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(saved(tmp_path / "rows.jsonl", *ROWS))
    assert run(["census", "--from", path]) == 1
    assert "bert (default)" in capsys.readouterr().out
    assert run(["census", "--from", path, "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["exit_code"], len(data["rows"])) == (1, 3)
    assert run(["census", "--from", path, "--format", "markdown"]) == 1
    page = capsys.readouterr().out
    assert page.startswith("# Census\n")
    assert run(["census", "--from", path, "-o", str(tmp_path / "page.md")]) == 1
    assert (tmp_path / "page.md").read_text() == page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "lama"], "'lama' is no causal model type"),
        (["--shard", "3/2"], "--shard '3/2' is no share"),
        (["--shard", "x"], "--shard 'x' is no share"),
        (["--shard", "0/2"], "is no share"),
        (["--backend", "magic"], "magic"),
        (["--from", "nowhere.jsonl"], "no such file"),
        (["--from", "a", "--resume", "b"], "exclude each other"),
        (["--resume", "/nowhere/rows.jsonl"], "cannot be written"),
        (["--limit", "0"], "--limit"),
        (["--jobs", "-1"], "--jobs"),
        (["-o", "/nowhere/page.md"], "cannot be written"),
    ],
)
def test_misuse_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["census", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


def test_rows_are_judged_kept_and_not_judged_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    arguments = ["census", *QUICK, "--only", "gpt2,bert,gemma3n", "--resume", str(path)]
    assert run([*arguments, "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    rows = {row["model_type"] + row["variant"]: row for row in data["rows"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "bert": "pass", "bertdefault": "fail", "gemma3n": "not applicable", "gpt2": "pass",
    }  # fmt: skip
    gpt2 = rows["gpt2"]
    assert gpt2["architecture"] == "GPT2LMHeadModel"
    assert (gpt2["mixers"], gpt2["seam"], gpt2["backends"]) == (
        ["attention"],
        ["interface"],
        ["eager"],
    )
    assert gpt2["controls"]
    assert dict(gpt2["families"]) == dict.fromkeys(
        ("observer", "weights", "mask", "influence", "serving"), "pass"
    )
    assert {one["code"] for one in rows["bertdefault"]["findings"]} >= {
        "ATN101",
        "ATN201",
        "ATN301",
    }
    before = path.read_bytes()
    assert run([*arguments, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == data
    assert path.read_bytes() == before


def begun(path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "attnscope", "census", *QUICK, "--jobs", "1", *arguments]
    return subprocess.Popen(
        [*command, "--resume", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def rows_in(path: Path) -> int:
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


MANY = "arcee,bart,bert,bloom,falcon,gemma,gpt2,gptj"


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_ended_half_way_and_resumed(tmp_path: Path, ending: signal.Signals) -> None:
    whole, half = tmp_path / "whole.jsonl", tmp_path / "half.jsonl"
    assert begun(whole, "--only", MANY).wait(300) == 1
    process = begun(half, "--only", MANY)
    while rows_in(half) < 4:
        time.sleep(0.02)
        assert process.poll() is None
    os.killpg(process.pid, ending)
    code, (_, told) = process.wait(60), process.communicate()
    if ending is signal.SIGINT:
        assert code == 130
        assert told.decode().splitlines() == ["attnscope: interrupted."]
    kept = half.read_text().splitlines()
    kept = kept if half.read_text().endswith("\n") else kept[:-1]
    assert 4 <= len(kept) - 1 < 9
    assert begun(half, "--only", MANY).wait(300) == 1
    again = half.read_text().splitlines()
    assert again[: len(kept)] == kept
    assert len(again) == len(whole.read_text().splitlines())
    one, other = (
        {row.key: replace(row, seconds=0.0) for row in read(each).rows} for each in (whole, half)
    )
    assert one == other
