"""`attnscope heads` as its user sees it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from rich.cells import cell_len

from attnscope import passes
from attnscope.cli.exit import run
from attnscope.cli.heads_options import Sort, parse_layers, parse_pairs, parse_part
from attnscope.errors import OutputError
from attnscope.heads_options import SORTS, HeadsOptions
from attnscope.records import Heads, Role, Tokens
from tests import heads
from tests.cli.test_trace import HOSTILE, weights
from tests.tiny import save_tiny


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["heads", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["heads", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


Asked = list[tuple[Tokens, HeadsOptions]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the engine is asked for; it answers with heads made by hand."""
    seen: Asked = []

    def answer(
        loaded: object, tokens: Tokens, options: HeadsOptions, progress: Callable[[str], None]
    ) -> Heads:
        progress("reading")
        seen.append((tokens, options))
        return heads.make_heads()

    monkeypatch.setattr(passes, "heads_of", answer)
    return seen


def test_numbers_agree_with_float64(capsys: pytest.CaptureFixture[str]) -> None:
    printed = output_of(capsys, "-m", "textbook", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(printed))
    known = weights()
    entropy = -np.where(known > 0, known * np.log(np.where(known > 0, known, 1)), 0).sum(axis=1)
    away = np.arange(5)[:, None] - np.arange(5)
    assert float(row["entropy"]) == pytest.approx(entropy.mean(), abs=1e-6)
    assert float(row["distance"]) == pytest.approx((known * away).sum(axis=1).mean(), abs=1e-6)
    assert float(row["first_weight"]) == pytest.approx(known[2:, 0].mean(), abs=1e-6)
    assert float(row["previous_weight"]) == pytest.approx(np.diag(known, -1).mean(), abs=1e-6)
    assert (row["layer"], row["head"], row["induction"], row["verified"]) == ("0", "0", "", "true")
    assert row["role"] in get_args(Role)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_asked(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    printed = output_of(capsys, "The cat sat on the mat", "--width", str(width))
    assert max(cell_len(line) for line in printed.splitlines()) <= width
    assert "\x1b" not in printed
    assert "10 of 16 heads, by entropy*: most focused first" in printed
    assert "every head verified" in " ".join(printed.split())


def test_hostile_text_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert run(["heads", HOSTILE + " \udcff"]) == 0
    assert raw.getvalue().isascii()
    assert not any(evil in raw.getvalue() for evil in (b"\x1b", b"\x07"))


def test_json_and_csv_hold_every_head(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = json.loads(output_of(capsys, "The cat sat", "--format", "json"))
    places = [(one["layer"], one["head"]) for one in data["focus"]]
    assert places == [(layer, head) for layer in range(4) for head in range(4)]
    assert output_of(capsys, "The cat sat", "-o", str(tmp_path / "heads.csv")) == ""
    rows = list(csv.DictReader((tmp_path / "heads.csv").open()))
    assert [float(row["entropy"]) for row in rows] == [one["entropy"] for one in data["focus"]]
    first = output_of(
        capsys, "The cat sat", "--format", "csv", "--sort", "distance", "--top", "2", "--reverse"
    )
    told = [float(row["distance"]) for row in csv.DictReader(io.StringIO(first))]
    assert told == sorted(float(row["distance"]) for row in rows)[:2]


def test_what_is_saved_is_shown_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "heads.safetensors")
    for form in ("table", "json", "csv"):
        arguments = ("--format", form, "--sort", "sink", "--width", "100")
        told = output_of(capsys, "The cat sat", "--save", path, *arguments)
        assert output_of(capsys, "--from", path, *arguments) == told
    assert list(tmp_path.iterdir()) == [tmp_path / "heads.safetensors"]


def test_the_options_reach_the_engine(capsys: pytest.CaptureFixture[str], asked: Asked) -> None:
    output_of(
        capsys, "The cat sat on the mat", "--layers", "0-1,-1", "--head", "1:0,L3.H2,1:0",
        "--rows", "1:", "--keys", "-3:-1", "--window", "4",
    )  # fmt: skip
    output_of(capsys, "--no-window", "--ids", "1,2,3")
    (first, options), (second, plain) = asked
    assert len(first) > 5
    assert options == HeadsOptions(
        layers=(0, 1, -1), views=((1, 0), (3, 2)), rows=(1, None), keys=(-3, -1),
        window=4,
    )  # fmt: skip
    assert (second.ids, plain) == ((1, 2, 3), HeadsOptions(windowed=False))


def test_a_long_text_reaches_the_engine_whole(
    capsys: pytest.CaptureFixture[str], asked: Asked, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("The cat sat on the mat. " * 4_000)
    output_of(capsys, "--file", str(tmp_path / "long.txt"))
    ((tokens, _),) = asked
    assert len(tokens) > 20_000
    assert run(["trace", "--file", str(tmp_path / "long.txt")]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layers", "9"], "no layer 9"),
        (["--layers", "-9"], "no layer -9"),
        (["--layers", "x"], "--layers takes numbers"),
        (["--layers", "3-1"], "--layers takes numbers"),
        (["--layers", ""], "--layers takes numbers"),
        (["--head", "1"], "--head takes a layer and a head"),
        (["--head", "4:0"], "no layer 4"),
        (["--head", "0:4"], "no head 4"),
        (["--head", "3:0", "--layers", "0-1"], "not among the layers"),
        (["--rows", "1:2"], "--rows needs a heatmap"),
        (["--keys", "1:2"], "--keys needs a heatmap"),
        (["--head", "0:0", "--rows", "5"], "--rows takes a part"),
        (["--head", "0:0", "--rows", "5:5"], "--rows 5:5 is empty"),
        (["--head", "0:0", "--keys", "-1:-2"], "--keys -1:-2 is empty"),
        (["--head", "0:0", "--keys", "90:"], "keys 90: hold no token"),
        (["--sort", "colour"], "--sort"),
        (["--top", "0"], "--top"),
        (["--window", "1"], "--window"),
        (["--window", "4", "--no-window"], "exclude each other"),
        (["--chat", "--ids", "1,2"], "exclude each other"),
        (["--save", "no/such/place"], "cannot be written"),
        (["-o", "one.csv", "--save", "one.csv"], "are one file"),
        (["--from", "missing"], "cannot be read"),
        (["--from", "missing", "--save", "x"], "--from and --save exclude"),
    ],
)
def test_bad_values(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refusal(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_shown_where_it_cannot_be_saved(
    capsys: pytest.CaptureFixture[str],
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def full(*_: object) -> None:
        raise OutputError("no space left.")

    monkeypatch.setattr("attnscope.heads_file.save_heads", full)
    assert run(["heads", "--save", str(tmp_path / "heads")]) == 2
    captured = capsys.readouterr()
    assert "4 of 4 heads" in captured.out
    assert captured.err == "attnscope: no space left.\n"


def test_a_model_without_attention_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = save_tiny("mamba", tmp_path / "model")
    capsys.readouterr()  # saving draws a bar
    printed = output_of(capsys, "-m", str(directory), "--ids", "5,9,23")
    assert "Nothing was checked" in printed
    assert "verified" not in printed


def test_words_of_options() -> None:
    assert parse_layers("0-3, -1 2") == (0, 1, 2, 3, -1)
    assert parse_pairs("3:1, l0.h2 -1:-2") == ((3, 1), (0, 2), (-1, -2))
    assert [parse_part(one, "--rows") for one in (":", "3:", ":-5", " -9 : 4 ")] == [
        (None, None), (3, None), (None, -5), (-9, 4),
    ]  # fmt: skip
    assert {one.value for one in Sort} == set(SORTS)
