from __future__ import annotations

import pytest

from attnscope.render.header import count, header
from tests.render import examples


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.0 k"),
        (999_949, "999.9 k"),
        (999_999, "1.0 M"),
        (1_312_000, "1.3 M"),
        (7_615_616_512, "7.6 B"),
        (1_040_000_000_000, "1.0 T"),
    ],
)
def test_parameters_are_counted_for_people(number: int, words: str) -> None:
    assert count(number) == words


def test_model_and_tokens() -> None:
    trace = examples.textbook()
    lines = examples.printed(header(trace.model, trace.tokens), 100).splitlines()
    assert lines[0] == (
        "textbook · TextbookModel · 1.3 M parameters · 1 layer × 1 head · cpu · float32 · sdpa"
    )
    assert lines[2] == "The  cat  sat  on  mat"
    assert lines[3] == "0    1    2    3   4"


def test_grouped_heads_and_unknown_shapes() -> None:
    tokens = examples.make_tokens(("a",))
    grouped = header(examples.make_model(layers=4, heads=8, kv_heads=2), tokens)
    assert "4 layers × 8 heads (2 key/value)" in examples.printed(grouped, 120)
    unknown = header(examples.make_model(layers=0, heads=0), tokens)
    assert "layer" not in examples.printed(unknown, 120)


def test_specials_are_marked_without_colour() -> None:
    tokens = examples.make_tokens(("<s>", "a"), special=1)
    output = examples.printed(header(examples.make_model(), tokens), 80)
    assert "<s>°  a" in output
    assert "° added by the tokenizer" in output
    ascii_only = examples.printed(header(examples.make_model(), tokens), 80, "ascii")
    assert "<s>^  a" in ascii_only


def test_thousands_of_tokens_are_abridged() -> None:
    trace = examples.big()
    output = examples.printed(header(trace.model, trace.tokens), 60)
    assert "… 4,032 more …" in output
    assert "4,096 tokens" in output
    assert len(output.splitlines()) < 50
    assert "4095" in output


def test_indices_stand_under_their_tokens() -> None:
    tokens = examples.make_tokens(("漢字", "\x1b[0m", "é", "x"))
    lines = examples.printed(header(examples.make_model(), tokens), 100).splitlines()
    assert lines[2] == "漢字  \\x1b[0m  é  x"
    assert lines[3] == "0     1        2  3"
