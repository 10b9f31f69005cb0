"""`attnscope trace` as its user sees it."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from attnscope.cli.exit import run
from tests.tiny import save_tiny

QUERY = np.array([[1, 0, 1, 0], [0, 2, 0, 1], [1, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1.0]])
KEY = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0.5, 0.5]])
VALUE = np.vstack([np.eye(4), np.full((1, 4), 0.5)])
HOSTILE = "The \x1b[31mred\x1b[0m [bold]cat[/bold] \u202eevil\u202c \U0001f431 \u200d \t\n \x07 end"


def weights(causal: bool = True) -> np.ndarray:
    scores = QUERY @ KEY.T / 2
    if causal:
        scores = np.where(np.tri(5), scores, -np.inf)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["trace", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def four(number: float) -> str:
    return f"{number:.4f}"


def test_the_textbooks_numbers_to_four_decimals(capsys: pytest.CaptureFixture[str]) -> None:
    printed = output_of(capsys, "--model", "textbook", "--query", "sat", "--width", "100")
    plain = printed.replace(" .", " 0.")
    for causal in (True, False):
        for number in (weights(causal) @ VALUE).ravel():
            assert four(number) in plain
    for number in weights().ravel():
        assert number == 0 or four(number) in plain
    for known in ("0.8176", "0.3837", "0.1425", "0.3108", "0.2254", "0.4135", "0.2495", "0.3481"):
        assert known in plain


def test_json_agrees_with_float64(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--model", "textbook", "--query", "sat", "--format", "json")
    result = json.loads(output_of(capsys, *arguments))
    required = {"schema", "model", "tokens", "masks", "focus", "head", "trace", "proof"}
    assert required <= set(result)
    np.testing.assert_allclose(result["head"]["weights"], weights(), atol=1e-6)
    np.testing.assert_allclose(result["trace"]["weights"], weights()[2], atol=1e-6)
    np.testing.assert_allclose(result["trace"]["dots"], (QUERY @ KEY.T)[2], atol=1e-6)
    np.testing.assert_allclose(result["trace"]["scaled"], (QUERY @ KEY.T)[2] / 2, atol=1e-6)
    np.testing.assert_allclose(result["trace"]["output"], (weights() @ VALUE)[2], atol=1e-6)
    assert result["trace"]["allowed"] == [True, True, True, False, False]
    assert result["masks"] == [
        result["masks"][0] | {"layers": [0], "rows": np.tri(5, dtype=int).tolist()}
    ]
    proof = result["proof"]
    assert (proof["future_cells"], proof["future_max"], proof["verified"]) == (10, 0.0, True)
    assert proof["recompute_max_diff"] < 1e-6
    assert {"layer", "head"} <= set(result["focus"][0])


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("model", ["textbook", "fable"])
def test_no_line_is_wider_than_asked(
    width: int, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = output_of(capsys, "--model", model, "--width", str(width))
    assert max(cell_len(line) for line in printed.splitlines()) <= width
    assert "\x1b" not in printed  # not a terminal: no colour


def test_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert run(["trace", HOSTILE]) == 0
    assert raw.getvalue().isascii()


def test_a_hostile_prompt_prints_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    printed = output_of(capsys, HOSTILE + " \udcff\udcfe", "--width", "100")
    for evil in "\x1b\x07\u202e\u202c\u200d":
        assert evil not in printed
    for kept in ("[", "]", "/"):  # markup must not eat them
        assert kept in printed
    assert max(cell_len(line) for line in printed.splitlines()) <= 100


def test_prompts_from_files_and_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompt.txt").write_text("The cat sat on mat\n")
    expected = output_of(capsys, "-m", "textbook", "The cat sat on mat")
    assert output_of(capsys, "-m", "textbook", "--file", str(tmp_path / "prompt.txt")) == expected
    assert output_of(capsys, "-m", "textbook", "--ids", "0,1,2,3,4") == expected
    assert output_of(capsys, "-m", "textbook") == expected
    for arguments in (["--file", "-"], ["-"]):
        stdin = io.TextIOWrapper(io.BytesIO(b"The cat sat on mat"))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert output_of(capsys, "-m", "textbook", *arguments) == expected


def test_a_directory_without_a_tokenizer_takes_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = save_tiny("gpt2", tmp_path / "model")
    capsys.readouterr()  # saving draws a bar
    printed = output_of(capsys, "-m", str(directory), "--ids", "5,9,23", "--layer", "1")
    assert "layer 1" in printed
    assert run(["trace", "-m", str(directory), "words"]) == 2
    assert "--ids" in capsys.readouterr().err


def test_a_model_without_attention_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = save_tiny("mamba", tmp_path / "model")
    capsys.readouterr()  # saving draws a bar
    printed = output_of(capsys, "-m", str(directory), "--ids", "5,9,23")
    assert "no attention" in printed
    assert "no head looks at a later token" not in printed  # could not check is never clean


@pytest.mark.parametrize("ending", ["txt", "json", "svg", "html"])
def test_output_files(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"trace.{ending}"
    assert output_of(capsys, "-m", "textbook", "-o", str(path)) == ""
    content = path.read_text()
    assert "cat" in content
    if ending == "json":
        assert json.loads(content)["schema"] == 1
    if ending == "svg":
        assert content.startswith("<svg")
    assert list(tmp_path.iterdir()) == [path]  # nothing half-written beside it


def test_layer_head_and_query_are_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--layer", "-1", "--head", "0", "--query", "1", "--format", "json")
    result = json.loads(output_of(capsys, *arguments))
    last = result["model"]["layers"] - 1
    assert (result["head"]["layer"], result["head"]["head"]) == (last, 0)
    assert result["trace"]["query"] == 1


def test_output_never_replaces_what_is_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link keeps pointing where it points; a pipe is written to."""
    (tmp_path / "target.txt").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "target.txt")
    output_of(capsys, "-m", "textbook", "-o", str(link))
    assert link.is_symlink()
    assert "cat" in (tmp_path / "target.txt").read_text()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    output_of(capsys, "-m", "textbook", "-o", str(pipe))
    reader.join(timeout=30)
    assert "cat" in read[0]
    assert pipe.is_fifo()


def test_exports_are_well_formed_and_ask_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = save_tiny("gpt2", tmp_path / "m\x1b[31m<b>&q")
    capsys.readouterr()
    for ending in ("svg", "html"):
        path = tmp_path / f"trace.{ending}"
        output_of(capsys, "-m", str(directory), "--ids", "5,9", "-o", str(path))
        content = path.read_text()
        assert "\x1b" not in content
        assert "<b>" not in content
        assert "url(" not in content.replace("url(#", "")
    xml.etree.ElementTree.parse(tmp_path / "trace.svg")


def test_the_reason_names_what_the_choice_was_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert "head of layer 3 (score" in output_of(capsys, "--layer", "3", "--width", "100")
    assert "among the heads 2" in output_of(capsys, "--head", "2", "--width", "100")


def test_a_layer_of_a_model_without_attention(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = save_tiny("mamba", tmp_path / "model")
    capsys.readouterr()
    assert run(["trace", "-m", str(directory), "--ids", "5,9", "--layer", "0"]) == 2
    assert "no attention" in capsys.readouterr().err
