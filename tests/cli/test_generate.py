"""`attnscope generate` as its user sees it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from attnscope.cli import generate as command
from attnscope.cli.exit import run
from tests.tiny import save_tiny

PROMPT = "The cat sat on the mat"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["generate", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(capsys, *arguments, "--format", "json"))
    return found


@pytest.mark.parametrize("model", ["fable", "textbook"])
def test_cached_and_full_agree_at_every_step(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = PROMPT if model == "fable" else "The cat sat"
    found = data(capsys, prompt, "--model", model, "--steps", "6")
    assert len(found["steps"]) == 6
    for number, step in enumerate(found["steps"]):
        assert step["drift"] <= found["limit"]
        assert step["read"] == found["prompt"] - 1 + number
        assert step["rows"][0]["allowed"] == [1] * (step["read"] + 1)
        assert [state["unchanged"] for state in step["cache"]] == [True if number else None]
        assert sum(step["weights"]["weights"]) == pytest.approx(1.0)
    written = [step["candidates"][0]["token"] for step in found["steps"]]
    assert [token["id"] for token in found["tokens"]][found["prompt"] :] == written


@pytest.mark.parametrize("width", [60, 200])
def test_plain_blocks_in_a_pipe(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, PROMPT, "--steps", "3", "--width", str(width), "--delay", "5")
    assert max(cell_len(line) for line in page.splitlines()) <= width
    assert "\x1b" not in page
    rows = re.findall(r"^mask +(■+)", page, flags=re.MULTILINE)
    assert [len(row) for row in rows] == [6, 7, 8]
    words = " ".join(page.split())
    assert "unchanged, bit for bit" in words
    assert "1 token, 112 query · key products" in words
    assert "both ways agree at every step" in words


def test_the_cheat_helps_until_the_future_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("The cat sat", "--cheat", "--continuation", "on the mat, and the dog")
    found = data(capsys, *arguments)
    loss = found["mean_loss"]
    assert loss["cheating"] < loss["masked"] - 0.3
    assert loss["alone"] > loss["cheating"] + 0.3
    assert found["start"] == 3
    assert found["masked_move"] == 0
    assert found["cheating_move"] == found["stored"] * 3 // 4
    words = " ".join(printed(capsys, *arguments, "--width", "60").split())
    assert "a text that is being written has no future" in words
    assert "without the mask there is no key/value cache" in words


def test_without_a_continuation_the_end_of_the_prompt_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = data(capsys, PROMPT, "--cheat", "--steps", "2")
    assert [one["label"] for one in found["answers"]] == ["the", "mat"]
    found = data(capsys, "--model", "textbook", "--ids", "0,1,2", "--cheat", "--steps", "99")
    assert found["start"] == 1


def test_it_stops_where_positions_end(capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(["The", "cat", "sat", "on", "mat"] * 12)
    found = data(capsys, words, "--model", "textbook", "--steps", "50")
    assert len(found["steps"]) == 5  # 64 positions, and the last token is not read again
    assert "no positions for more than 64 tokens" in found["notes"][0]


def test_a_terminal_sees_the_steps_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(command.time, "sleep", naps.append)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(["generate", PROMPT, "--steps", "3", "--delay", "0.25"]) == 0
    assert naps == [0.25] * 3
    assert "rounding" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--continuation", "x"), "is for --cheat"),
        (("--cheat", "--ids", "1", "--continuation", "x"), "exclude each other"),
        (("--cheat", "--model", "textbook", "The"), "Leave at least one token before it"),
        (("--steps", "0"), "--steps"),
        (("--cheat", "--continuation", " "), "--continuation is empty"),
        (("--cheat", "--layer", "0"), "exclude each other"),
        (("--cheat", "--delay", "1"), "exclude each other"),
        (("--model", "textbook", "--head", "7"), "has no head 7"),
        (("--model", "textbook", ""), "empty"),
        (("--cheat", "--model", "textbook", "The", "--continuation", "dog"), "dog"),
    ],
)
def test_mistakes_get_one_line(
    arguments: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["generate", *arguments]) == 2
    captured = capsys.readouterr()
    assert part in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_state_space_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny("mamba", tmp_path)
    capsys.readouterr()
    page = printed(capsys, "--model", str(tmp_path), "--ids", "5,6,7,8", "--steps", "2")
    assert "a state of fixed size" in page
    assert run(["generate", "--cheat", "--model", str(tmp_path), "--ids", "5,6,7,8"]) == 2
    assert "no mask that could be taken" in capsys.readouterr().err
