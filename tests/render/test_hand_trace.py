from __future__ import annotations

from dataclasses import replace
from math import nan

import torch
from rich.cells import cell_len

from attnscope.records import HandTrace, Trace
from attnscope.render.hand_trace import hand_trace, summary
from attnscope.render.key_table import number, shown_keys
from tests.render import examples


def hand_of(trace: Trace) -> HandTrace:
    assert trace.hand is not None
    return trace.hand


def test_every_step_is_there() -> None:
    trace = examples.textbook()
    output = examples.printed(hand_trace(hand_of(trace), trace.tokens), 60)
    for words in ("query · key", "dot × 0.57735", "exp / denominator", "2.6065"):
        assert words in output
    cat = next(line for line in output.splitlines() if line.startswith("1 cat"))
    assert "VISIBLE" in cat
    assert "0.3837" in cat
    assert "━" in cat
    on = next(line for line in output.splitlines() if line.startswith("3 on"))
    assert on.split()[-4:] == ["-inf", "BLOCKED", "0.0000", "0.0000"]
    assert "sat looks mostly at cat (38%) and itself (38%); 2 later" in output


def test_a_visible_later_key_is_named() -> None:
    trace = examples.leaking()
    output = examples.printed(hand_trace(hand_of(trace), trace.tokens), 100)
    assert "FUTURE!" in output
    assert "on (40%, A LATER TOKEN)" in output
    assert "the mask leaves 1 later token visible" in output


def test_many_keys_show_the_strongest_and_count_the_rest() -> None:
    trace = examples.big()
    hand = hand_of(trace)
    keys = shown_keys(hand)
    assert len(keys) == 18
    assert keys[-3:] == [2999, 3000, 3001]
    output = examples.printed(hand_trace(hand, trace.tokens), 80)
    assert "2,984 more visible keys with weight 0.9684 together, 1,094 more blocked" in output
    assert "for the sink" in output
    assert "… 128 numbers" in output


def test_later_visible_keys_are_never_left_out() -> None:
    hand = hand_of(examples.big())
    allowed = hand.allowed.clone()
    allowed[4000] = True
    assert 4000 in shown_keys(replace(hand, allowed=allowed))


def test_softcap_and_bias_are_in_the_formula() -> None:
    trace = examples.textbook()
    hand = hand_of(trace)
    capped = replace(hand, softcap=30.0)
    output = examples.printed(hand_trace(capped, trace.tokens), 80)
    assert "30 × tanh(dot × 0.57735 / 30) + position bias" in output
    dots = hand.dots * hand.scale
    exact = replace(hand, softcap=30.0, scaled=30 * torch.tanh(dots / 30))
    assert "position bias" not in examples.printed(hand_trace(exact, trace.tokens), 80)


def test_summaries_in_words() -> None:
    trace = examples.textbook()
    weights = torch.tensor(examples.WEIGHTS, dtype=torch.float64)
    first = examples.make_hand(weights[0], 0)
    assert summary(first, trace.tokens) == (
        "The looks only at itself (100%); 4 later tokens are blocked."
    )
    last = examples.make_hand(weights[4], 4)
    assert summary(last, trace.tokens) == (
        "mat looks mostly at itself (24%), The (19%) and cat (19%); there is no later token."
    )
    blind = replace(first, allowed=torch.zeros(5, dtype=torch.bool), weights=torch.full((5,), nan))
    assert summary(blind, trace.tokens) == "The sees no token at all: every key is blocked."
    big = examples.big()
    assert summary(hand_of(big), big.tokens) == (
        "word2 spreads its weight over 3,000 tokens, less than 1% each; "
        "1,096 later tokens are blocked."
    )


def test_tokens_do_not_pass_for_words_of_the_summary() -> None:
    tokens = examples.make_tokens(("and", ",", "The"))
    hand = examples.make_hand(torch.tensor([0.5, 0.4, 0.1]), 2)
    assert summary(hand, tokens).startswith('The looks mostly at "and" (50%) and "," (40%);')


def test_a_blind_query_still_renders() -> None:
    trace = examples.textbook()
    blind = replace(
        hand_of(trace), allowed=torch.zeros(5, dtype=torch.bool),
        weights=torch.full((5,), nan), denominator=0.0, output=torch.full((3,), nan),
    )  # fmt: skip
    output = examples.printed(hand_trace(blind, trace.tokens), 60)
    assert "sees no token at all" in output


def test_repeated_tokens_are_told_apart() -> None:
    tokens = examples.make_tokens(("the", "a", "the", "b"))
    hand = examples.make_hand(torch.tensor([0.7, 0.1, 0.1, 0.1]), 3)
    assert summary(hand, tokens).startswith('b looks mostly at "the" at 0 (70%);')


def test_columns_stay_aligned_with_hostile_tokens() -> None:
    trace = examples.hostile()
    output = examples.printed(hand_trace(hand_of(trace), trace.tokens), 100)
    rows = [line for line in output.splitlines() if "VISIBLE" in line or "BLOCKED" in line]
    assert len(rows) == 20
    places = {
        cell_len(row[: row.index("VISIBLE" if "VISIBLE" in row else "BLOCKED")]) for row in rows
    }
    assert len(places) == 1


def test_numbers() -> None:
    assert number(0.38372) == "0.3837"
    assert number(0.0) == "0.0000"
    assert number(-12.5) == "-12.5000"
    assert number(1.5e-7) == "1.50e-07"
    assert number(123456.7) == "1.23e+05"
