"""`attnscope compare` as its user sees it; the textbook's numbers against numpy and torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.cells import cell_len

from attnscope.cli.exit import run
from tests.cli.test_trace import KEY, QUERY, VALUE
from tests.tiny import save_tiny

TRI = np.tri(5, dtype=bool)
ROW = TRI | (np.arange(5)[:, None] == 2)
PREFIX = TRI | (np.arange(5) < 2)
EVERYTHING = np.ones((5, 5), dtype=bool)


def textbook(allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and outputs in float64, by the formula."""
    scores = np.where(allowed, QUERY @ KEY.T / 2, -np.inf)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = exponentials / exponentials.sum(axis=1, keepdims=True)
    return weights, weights @ VALUE


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["compare", *arguments, "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    data: dict[str, Any] = json.loads(captured.out)
    return data


@pytest.mark.parametrize(
    ("against", "allowed"),
    [("none", EVERYTHING), ("row:2", ROW), ("prefix:2", PREFIX), ("causal", TRI)],
)
def test_the_textbooks_numbers(
    against: str, allowed: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    head = compared(capsys, "--model", "textbook", "--against", against)["head"]
    weights, outputs = textbook(TRI)
    np.testing.assert_allclose(head["own_weights"], weights, atol=1e-6)
    np.testing.assert_allclose(head["own_output"], outputs, atol=1e-6)
    weights, outputs = textbook(allowed)
    np.testing.assert_allclose(head["other_weights"], weights, atol=1e-6)
    np.testing.assert_allclose(head["other_output"], outputs, atol=1e-6)
    query, key, value = (torch.tensor(one, dtype=torch.float64) for one in (QUERY, KEY, VALUE))
    attend = torch.nn.functional.scaled_dot_product_attention
    sdpa = attend(query[None], key[None], value[None], is_causal=True)[0]
    np.testing.assert_allclose(head["own_output"], sdpa, atol=1e-6)
    masked = attend(query[None], key[None], value[None], attn_mask=torch.tensor(allowed))[0]
    np.testing.assert_allclose(head["other_output"], masked, atol=1e-6)


def test_the_numbers_that_books_print(capsys: pytest.CaptureFixture[str]) -> None:
    head = compared(capsys, "--model", "textbook")["head"]
    np.testing.assert_allclose(head["other_output"][0], [0.2254, 0.4135, 0.2964, 0.2964], atol=5e-5)
    np.testing.assert_allclose(head["other_output"][1][2:], [0.3018, 0.2058], atol=5e-5)
    np.testing.assert_allclose(head["other_output"][2], [0.2495, 0.3481, 0.3481, 0.2495], atol=5e-5)
    assert head["lost"][1] == [False, False, True, True]
    assert run(["compare", "--model", "textbook", "--width", "100"]) == 0
    printed = capsys.readouterr().out
    assert "cat loses dimensions 2 and 3 (0.3018 and 0.2058 without its own mask)" in printed
    assert "sat loses dimension 3 (0.2495 without its own mask)" in printed


def test_multiplied_scores_leak(capsys: pytest.CaptureFixture[str]) -> None:
    data = compared(capsys, "--model", "textbook", "--against", "multiplied")
    scores = np.where(TRI, QUERY @ KEY.T / 2, 0)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(data["head"]["other_weights"], expected, atol=1e-6)
    assert data["whole"] is None
    assert data["notes"]


def test_a_real_model_reads_the_answers_without_its_mask(
    capsys: pytest.CaptureFixture[str],
) -> None:
    prompt = "The cat sat on the mat, and the cat sat on the"
    whole = compared(capsys, prompt)["whole"]
    assert whole["other_loss"] < whole["own_loss"] - 0.5
    leak = whole["leak"]
    assert leak["own_move"] == 0.0
    assert leak["followed"] == leak["tried"] == 8
    assert leak["after"] > 1000 * leak["before"]
    for width in (60, 200):
        assert run(["compare", prompt, "--width", str(width), "--caveat"]) == 0
        printed = capsys.readouterr().out
        assert max(cell_len(line) for line in printed.splitlines()) <= width
        assert "nothing was learned" in " ".join(printed.split())
        assert "do not explain" in printed


def test_layer_head_and_another_models_window(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny("mistral", tmp_path)
    capsys.readouterr()
    ids = ",".join(str(5 + place) for place in range(14))
    arguments = ("--model", str(tmp_path), "--ids", ids, "--layer", "-1", "--head", "2")
    head = compared(capsys, *arguments, "--against", "causal")["head"]
    assert (head["layer"], head["head"]) == (1, 2)
    assert head["hidden"] == [max(place - 7, 0) for place in range(14)]
    assert not any(head["shown"])


def test_one_token_has_no_next_one(capsys: pytest.CaptureFixture[str]) -> None:
    data = compared(capsys, "--model", "textbook", "The")
    assert data["whole"] is None
    assert "single token" in data["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--against", "slidng:3"), "did you mean sliding?"),
        (("--against", "nothing"), "Or none, or multiplied"),
        (("--against", "layer:0"), "--diff knows the layers"),
        (("--against", "row:99", "--model", "textbook"), "there is no position 99"),
        (("--model", "textbook", "--head", "3"), "has no head 3"),
        (("--model", "textbook", "--layer", "-2"), "has no layer -2"),
        (("a", "--ids", "1"), "exclude each other"),
        (("--model", "/nowhere"), "/nowhere"),
    ],
)
def test_mistakes_get_one_line(
    arguments: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert part in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_model_without_attention_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny("mamba", tmp_path)
    capsys.readouterr()
    data = compared(capsys, "--model", str(tmp_path), "--ids", "5,6,7")
    assert data["head"] is None
    assert data["whole"] is None
    assert "no mask that could be taken" in " ".join(data["notes"])
