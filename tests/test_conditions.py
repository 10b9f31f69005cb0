"""Conditions: each has its code, its words and its promise, and every check asks in known ones."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from attnscope.checks import CHECKS
from attnscope.conditions import CONDITIONS
from attnscope.experiments.ways import ASIDE, WAYS
from attnscope.promises import Facts
from attnscope.shrink import shrink

LLAMA = Facts(
    model_type="llama",
    takes=frozenset({"attention_mask", "position_ids", "use_cache"}),
    attention_only=True,
    masks_packed=True,
    masks_suffice=True,
    absolute_positions=False,
    length_dependent=False,
    static_cache=True,
)
MAMBA = replace(
    LLAMA, model_type="mamba", attention_only=False, masks_packed=False, static_cache=False
)


def held(facts: Facts) -> set[str]:
    return {key for key, one in CONDITIONS.items() if one.promise.holds(facts)}


def agrees(facts: Facts, key: str) -> bool:
    return (CONDITIONS[key].agrees or CONDITIONS[key].promise).holds(facts)


def test_every_condition_has_its_code_and_the_reverse() -> None:
    assert set(CONDITIONS) == set(WAYS)
    assert set(ASIDE) <= set(WAYS)
    assert {key for key, one in CONDITIONS.items() if one.aside} == set(ASIDE)
    assert all(one.key == key for key, one in CONDITIONS.items())


def test_titles_tell_conditions_apart() -> None:
    assert len({one.title for one in CONDITIONS.values()}) == len(CONDITIONS)
    assert len({one.words for one in CONDITIONS.values()}) == len(CONDITIONS)


def test_every_promise_says_whom_it_binds_and_who_says_so() -> None:
    for one in CONDITIONS.values():
        for promise in filter(None, (one.promise, one.agrees, one.causal)):
            assert promise.text.endswith(".")
            assert promise.source.endswith(".")
        assert one.words.endswith(".")


def test_what_a_condition_needs_is_among_what_its_code_passes() -> None:
    for key, one in CONDITIONS.items():
        source = inspect.getsource(WAYS[key])
        for name in one.needs:
            assert name in source or ("steps(" in source and "mask=" in source), (key, name)


def test_checks_ask_in_known_conditions_and_quick_ones_are_among_them() -> None:
    asked = {key for check in CHECKS for key in check.conditions}
    assert asked == set(CONDITIONS)
    for check in CHECKS:
        assert set(check.quick) <= set(check.conditions), check.code
        assert len(set(check.conditions)) == len(check.conditions), check.code


def test_controls_are_asked_in_the_plain_run_even_when_quick() -> None:
    required = {check.code: check for check in CHECKS if check.required}
    assert set(required) == {"ATN001", "ATN002", "ATN003", "ATN004", "ATN301"}
    assert all("plain" in check.quick for check in required.values())


def test_an_attention_model_is_held_to_all_but_what_nobody_promises() -> None:
    assert set(CONDITIONS) - held(LLAMA) == {"packed_cached", "right_padded_decoding"}


def test_a_state_space_model_is_held_to_one_token_a_step() -> None:
    left_out = held(LLAMA) - held(MAMBA)
    assert left_out == {
        "packed", "several_tokens", "several_tokens_positions", "chunked_prefill", "static_cache",
        "cropped",
    }  # fmt: skip
    assert {"plain", "one_token", "left_padding", "reordered"} <= held(MAMBA)


@pytest.mark.parametrize(
    ("facts", "key", "expected"),
    [
        (replace(LLAMA, model_type="rwkv"), "left_padding", False),
        (replace(LLAMA, model_type="rwkv"), "plain", True),
        (replace(LLAMA, absolute_positions=True), "left_padding", False),
        (replace(LLAMA, absolute_positions=True), "right_padding", True),
        (replace(LLAMA, length_dependent=True), "alone", False),
        (replace(LLAMA, static_cache=False), "static_cache", False),
        (replace(LLAMA, masks_packed=False), "packed", False),
        (replace(LLAMA, masks_suffice=False), "packed", False),
        (replace(LLAMA, masks_suffice=False), "several_tokens", True),
        (replace(LLAMA, model_type="recurrent_gemma"), "left_padding", False),
        (replace(LLAMA, model_type="recurrent_gemma"), "right_padding", True),
        (LLAMA, "alone", True),
    ],
)
def test_who_is_held_to_the_plain_logits(facts: Facts, key: str, expected: bool) -> None:
    assert agrees(facts, key) is expected


def test_absolute_positions_excuse_moved_logits_but_not_seen_pads() -> None:
    absolute = replace(LLAMA, absolute_positions=True)
    assert CONDITIONS["left_padding"].promise.holds(absolute)
    assert not agrees(absolute, "left_padding")


def test_no_missing_promise_excuses_a_look_ahead() -> None:
    """Documents and pads that are not kept apart are still read from left to right."""
    stranger = replace(MAMBA, model_type="rwkv", absolute_positions=True, length_dependent=True)
    more = {key: one.causal for key, one in CONDITIONS.items() if one.causal is not None}
    steps = {"several_tokens", "several_tokens_positions", "chunked_prefill"}
    padded = {"left_padding", "padded_row"}
    decoded = {"left_padded_decoding", "batched_decoding"}
    assert set(more) == {"packed", "packed_cached"} | steps | padded | decoded
    for key, causal in more.items():
        assert causal.holds(stranger)
        assert not CONDITIONS[key].promise.holds(stranger)


class Cuts:
    """In place of a model: keeps how many tokens each call was given."""

    def __init__(self) -> None:
        self.config = shrink(transformers.LlamaConfig())
        self.pieces: list[int] = []

    def __call__(self, ids: Tensor, **given: Any) -> Any:
        self.pieces.append(ids.shape[1])
        logits = torch.zeros(*ids.shape, 1)
        return SimpleNamespace(logits=logits, past_key_values=given.get("past_key_values"))


@pytest.mark.parametrize(
    ("key", "least", "pieces"),
    [
        ("plain", 2, [2]),
        ("one_token", 2, [1, 1]),
        ("several_tokens", 4, [2, 2]),
        ("several_tokens_positions", 4, [2, 2]),
        ("chunked_prefill", 6, [5, 1]),
        ("static_cache", 7, [3, 3, 1]),
    ],
)
def test_the_fewest_tokens_that_make_a_condition_another_one(
    key: str, least: int, pieces: list[int]
) -> None:
    assert CONDITIONS[key].least == least
    model = Cuts()
    WAYS[key](model, torch.ones(1, least, dtype=torch.long), torch.ones(1, 0, dtype=torch.long))
    assert model.pieces == pieces
