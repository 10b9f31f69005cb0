"""`attnscope mask` as its user sees it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from rich.cells import cell_len

from attnscope.cli.exit import run
from attnscope.expressions import parse
from attnscope.shrink import build, shrink
from tests.tiny import save_tiny

KINDS = (
    "causal", "bidirectional", "sliding:3", "chunked:3", "prefix:2", "packed:3,4,2",
    "padding:left:2", "padding:right:2", "row:2", "block:1-3", "first:1",
    "causal & padding:left:2", "causal & sliding:3", "sliding:2 | first:1",
    "(prefix:2 | row:4) & ~padding:right:1",
)  # fmt: skip


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["mask", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def saved(name: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    save_tiny(name, directory)
    capsys.readouterr()  # the library's progress bar
    return str(directory)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["mask", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def matrix(printed: str, signs: dict[str, int], tokens: int) -> list[list[int]]:
    lines = printed.partition("\n\n")[0].splitlines()
    rows = [line.split() for line in lines if line[:2].strip().isdigit()]
    body = [row[2:] for row in rows if len(row) == tokens + 2]
    return [[signs[cell.removeprefix("!")] for cell in row] for row in body]


@pytest.mark.parametrize("text", KINDS)
@pytest.mark.parametrize(
    ("form", "signs"),
    [
        ("binary", {"1": 1, "0": 0}),
        ("additive", {"0": 1, "-inf": 0}),
        ("bool", {"✓": 1, "✗": 0}),
    ],
)
def test_every_kind_in_every_form(
    text: str, form: str, signs: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    expression = parse(text)
    tokens = expression.documents or 6
    expected = expression.mask(tokens).rows(0, tokens, tokens)[0, 0].int().tolist()
    for width in (60, 200):
        printed = output_of(
            capsys, text, "--length", str(tokens), "--form", form, "--width", str(width)
        )
        assert matrix(printed, signs, tokens) == expected
        assert max(cell_len(line) for line in printed.splitlines()) <= width


@pytest.mark.parametrize("text", KINDS)
@pytest.mark.parametrize("width", [60, 200])
def test_every_kind_as_a_picture_and_a_list(
    text: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for extra in ((), ("--list",)):
        printed = output_of(capsys, text, *extra, "--width", str(width))
        assert printed.splitlines()[0].strip() == text
        assert max(cell_len(line) for line in printed.splitlines()) <= width


def test_the_list_reads_as_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    printed = output_of(capsys, "causal", "--list").splitlines()
    assert "cat looks at [The, cat]" in printed
    printed = output_of(capsys, "row:0 & padding:left:1", "a b a", "--list").splitlines()
    assert "a(0) looks at [b!, a(2)!]" in printed
    assert "2 looks at [0, 1, 2]" in output_of(capsys, "causal", "--length", "4", "--list")


def test_json_has_the_masks_of_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(output_of(capsys, "prefix:2", "--format", "json"))
    assert data["masks"] == [
        {
            "layers": [], "form": "prefix:2", "pool": 1, "notes": [],
            "rows": parse("prefix:2").mask(5).rows(0, 5, 5)[0, 0].int().tolist(),
        }
    ]  # fmt: skip
    assert [token["text"] for token in data["tokens"]] == ["The", "cat", "sat", "on", "mat"]
    assert run(["trace", "--model", "textbook", "--format", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["masks"][0]) == set(data["masks"][0])


def test_the_misprint_of_prefix_lm_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """`query < P or key <= query` lets the prefix see what follows it."""
    data = json.loads(output_of(capsys, "--diff", "prefix:2", "row:0,1", "--format", "json"))
    query, key = torch.arange(5)[:, None], torch.arange(5)
    misprint, right = (query < 2) | (key <= query), (key < 2) | (key <= query)
    assert data["diff"]["only_second"] == (misprint & ~right).int().tolist()
    assert data["diff"]["only_first"] == torch.zeros(5, 5).int().tolist()
    printed = output_of(capsys, "--diff", "prefix:2", "row:0,1")
    assert "6 of 25 cells differ" in printed
    assert printed.count(" B") >= 6


def test_the_broadcast(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("causal", "--length", "10", "--shape", "--batch", "4", "--heads", "8")
    assert "(10, 10) → (4, 8, 10, 10)" in output_of(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("causal & slidng:3",), "at 'slidng:3' (character 10): did you mean sliding?"),
        (("causal &",), "at its end"),
        ((), "There is no mask"),
        (("packed:3,4", "a b c"), "hold 7 tokens, and there are 3"),
        (("causal", ""), "empty"),
        (("causal", "--length", "99999"), "at most 16,384"),
        (("causal", "a b", "--length", "3"), "exclude each other"),
        (("causal", "--list", "--form", "bool"), "exclude each other"),
        (("causal", "--pad", "left:2"), "Give --model"),
        (("causal", "--ids", "1,2"), "Give --model"),
        (("--diff", "causal", "layer:0"), "give --model"),
        (("--diff", "causal", "sliding:2", "--shape"), "exclude each other"),
        (("causal", "a b", "--model", "textbook"), "only a prompt"),
        (("--model", "textbook", "--pad", "up:2"), "left:2 or right:2"),
        (("--model", "textbook", "--token-types", "0,1"), "2 numbers for 5 tokens"),
        (("--model", "textbook", "--token-types", "0,1,1,0,0"), "takes no token_type_ids"),
        (("--model", "textbook", "--pad", "left:99"), "positions for 64"),
        (("[bold]\x1b[31m",), "is not understood"),
        (("causal", "--list", "--shape"), "exclude each other"),
        (("causal", "--shape", "--form", "bool"), "exclude each other"),
        (("--diff", "causal", "row:1", "--list"), "exclude each other"),
        (("causal", "--device", "cuda"), "Give --model"),
        (("causal", "--length", "3000", "--list"), "List at most 1,024"),
        (("packed:30000",), "at most 16,384"),
        (("--model", "fable", "causal"), "--diff layer:0 MASK"),
        (("--diff", "causal", "row:1", "causal"), "stands a prompt"),
        (("--model", "textbook", "--token-types", "x"), "--token-types takes numbers"),
        (("causal and sliding:2",), "& or | is missing"),
        (("not",), "write ~ for not"),
        (("sliding:0",), "it is written sliding:W, from 1 on"),
    ],
)
def test_mistakes_get_one_line(
    arguments: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, *arguments)
    assert part in line
    assert "\x1b" not in line


def rows_of(printed: str) -> dict[tuple[int, ...], list[list[int]]]:
    return {tuple(mask["layers"]): mask["rows"] for mask in json.loads(printed)["masks"]}


def expected_rows(text: str, tokens: int) -> list[list[int]]:
    rows = parse(text).mask(tokens).rows(0, tokens, tokens)[0, 0]
    return [list(map(int, row)) for row in rows.tolist()]


DELIVERED = {
    "gpt2": {"causal"},
    "mistral": {"sliding:8"},
    "gemma2": {"sliding:8", "causal"},
}


@pytest.mark.parametrize("name", DELIVERED)
def test_a_models_delivered_masks(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(name, tmp_path, capsys)
    ids = ",".join(str(5 + place) for place in range(20))
    rows = rows_of(output_of(capsys, "--model", model, "--ids", ids, "--format", "json"))
    assert sorted(rows.values()) == sorted(expected_rows(one, 20) for one in DELIVERED[name])
    padded = output_of(
        capsys, "--model", model, "--ids", ids, "--pad", "left:2", "--format", "json"
    )
    for text, seen in zip(sorted(DELIVERED[name]), _sorted_like(rows_of(padded)), strict=True):
        expected = expected_rows(f"({text}) & padding:left:2", 22)
        assert seen[2:] == expected[2:]  # what a pad sees is each backend's own affair


def _sorted_like(rows: dict[tuple[int, ...], list[list[int]]]) -> list[list[list[int]]]:
    return sorted(rows.values(), key=lambda each: -sum(map(sum, each)))


def test_chunks_of_llama_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = shrink(transformers.Llama4TextConfig())
    build(config).save_pretrained(tmp_path)
    capsys.readouterr()
    ids = ",".join(str(5 + place) for place in range(20))
    rows = rows_of(output_of(capsys, "--model", str(tmp_path), "--ids", ids, "--format", "json"))
    kinds = {"chunked:8": set(), "causal": set()}
    for layers, seen in rows.items():
        (text,) = [text for text in kinds if expected_rows(text, 20) == seen]
        kinds[text] |= set(layers)
    wanted = {"chunked_attention": "chunked:8", "full_attention": "causal"}
    for layer, kind in enumerate(config.layer_types):
        assert layer in kinds[wanted[kind]]


def test_blocks_of_an_image_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = shrink(transformers.Gemma3Config())
    model = build(config, make=transformers.AutoModelForImageTextToText.from_config)
    model.save_pretrained(tmp_path)
    capsys.readouterr()
    types = "0,0,1,1,1,0,0,0,0,0"
    arguments = ("--model", str(tmp_path), "--ids", "5,6,7,8,9,10,11,12,13,14")
    printed = output_of(capsys, *arguments, "--token-types", types, "--format", "json")
    rows = rows_of(printed)
    assert expected_rows("block:2-4", 10) in rows.values()
    assert len(rows) == 2  # full and sliding layers
    same = output_of(
        capsys, *arguments, "--token-types", types, "--diff", f"layer:{_full(rows)}", "block:2-4"
    )
    assert "the same in all 100 cells" in same


def _full(rows: dict[tuple[int, ...], list[list[int]]]) -> int:
    return next(
        layers[0] for layers, seen in rows.items() if seen == expected_rows("block:2-4", 10)
    )


def test_a_model_without_attention_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = output_of(capsys, "--model", saved("mamba", tmp_path, capsys), "--ids", "5,6,7")
    assert "No attention was seen" in printed


def test_plain_positions_through_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved("mistral", tmp_path, capsys)
    printed = output_of(capsys, "--model", model, "--length", "12", "--diff", "layer:0", "causal")
    assert "only B leaves it open" in printed
    assert "10 of 144 cells differ" in printed


def test_words_need_no_transformers() -> None:
    script = (
        "import sys; from attnscope.cli.exit import run; code = run(['mask', 'causal']);"
        "assert code == 0; assert 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_words_from_standard_input_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("one two three")
    assert "two looks at [one, two]" in output_of(capsys, "causal", "--file", str(words), "--list")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"four five")))
    assert "five looks at [four, five]" in output_of(capsys, "causal", "-", "--list")


def test_a_huge_broadcast_is_only_counted(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--batch", "1000000", "--heads", "1000000")
    printed = output_of(capsys, "causal", "--shape", *sizes, "--width", "200")
    assert "(1000000, 1000000, 5, 5), steps (0, 0, 5, 1), 25 bytes" in printed


def test_the_default_broadcast_shows_steps_of_0(capsys: pytest.CaptureFixture[str]) -> None:
    printed = output_of(capsys, "causal", "--shape", "--width", "200")
    assert "(2, 4, 5, 5), steps (0, 0, 5, 1)" in printed
    one = output_of(capsys, "causal", "--shape", "--batch", "1", "--width", "200")
    assert "(1, 4, 5, 5), steps (25, 0, 5, 1)" in one


def test_what_an_additive_form_stands_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "stands for" not in output_of(capsys, "causal", "--form", "additive")
    printed = output_of(capsys, "--model", "textbook", "--form", "additive")
    assert "-inf stands for whatever number this model adds" in printed
