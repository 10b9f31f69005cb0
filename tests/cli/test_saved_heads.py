"""`attnscope heads --from`: what was saved, shown again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from attnscope.heads_file import load_heads, save_heads
from tests import heads
from tests.cli.test_heads import output_of, refusal
from tests.render.examples import make_view


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """Heads of two layers with two exact heatmaps, one of them of a part."""
    path = tmp_path / "heads.safetensors"
    exact = torch.arange(25.0).reshape(5, 5).tril() / 100
    views = (
        make_view(exact, layer=1, head=0),
        make_view(exact[2:5, 1:4], layer=0, head=1, origin=(2, 1), future=exact[2:5, 1:4] < 0),
    )
    save_heads(heads.make_heads(views=views), path)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["a text"], "PROMPT"),
        (["--file", "text"], "--file"),
        (["--ids", "1"], "--ids"),
        (["--chat"], "--chat"),
        (["--model", "fable"], "--model"),
        (["-m", "fable"], "--model"),
        (["--device", "auto"], "--device"),
        (["--dtype", "auto"], "--dtype"),
        (["--backend", "sdpa"], "--backend"),
        (["--window", "9"], "--window"),
        (["--no-window"], "--no-window"),
        (["--trust-remote-code"], "--trust-remote-code"),
    ],
)
def test_from_needs_no_model(
    arguments: list[str], option: str, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"--from and {option} exclude each other" in refusal(capsys, "--from", saved, *arguments)


def test_saved_parts(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = load_heads(saved).views

    def told(*arguments: str) -> list[dict[str, Any]]:
        printed = output_of(capsys, "--from", saved, "--format", "json", *arguments)
        views: list[dict[str, Any]] = json.loads(printed)["heads"]
        return views

    assert [one["weights"] for one in told()] == [view.weights.tolist() for view in kept]
    (part,) = told("--head", "-1:0", "--rows", "1:3", "--keys", ":2")
    assert (part["layer"], part["head"], part["origin"]) == (1, 0, [1, 0])
    assert part["weights"] == kept[0].weights[1:3, :2].tolist()
    (part,) = told("--head", "0:-1", "--rows", "-2:")
    assert part["origin"] == [3, 1]
    assert part["weights"] == kept[1].weights[1:].tolist()
    (only,) = told("--layers", "1")
    assert only["layer"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--head", "1:1"], "No heatmap of head 1:1 was saved; there are: 1:0, 0:1."),
        (["--head", "0:1", "--rows", "1:3"], "only the queries 2:5 were saved"),
        (["--head", "0:1", "--keys", "1:5"], "only the keys 1:4 were saved"),
        (["--rows", "9:"], "rows 9: hold no token"),
        (["--layers", "0,5"], "Layer 5 was not saved; there are: 0-1."),
    ],
)
def test_what_was_not_saved_is_told(
    arguments: list[str], words: str, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(capsys, "--from", saved, *arguments)
    assert words in told
    assert "hold no token" in told or "Run again with the model" in told


def test_pooled_heatmaps_have_no_exact_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "pooled")
    save_heads(heads.long(), path)
    told = refusal(capsys, "--from", path, "--rows", ":100")
    assert "59 tokens a cell" in told
    assert "Run again with the model" in told
    printed = output_of(capsys, "--from", path, "--layers", "0", "--width", "100")
    assert "4 of 4 heads" in printed
    assert "No heatmap was saved" in refusal(
        capsys, "--from", path, "--layers", "0", "--keys", ":5"
    )


@pytest.mark.parametrize("ending", ["txt", "json", "csv", "svg", "html"])
def test_output_files(
    ending: str, saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"heads.{ending}"
    assert output_of(capsys, "--from", saved, "-o", str(path)) == ""
    begins = {"txt": "\n1  Model", "json": '{"schema": 1', "csv": "layer,head", "svg": "<svg",
              "html": "<!DOCTYPE"}  # fmt: skip
    assert path.read_text().startswith(begins[ending])
