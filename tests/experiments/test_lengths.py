"""Which tokens, how many, and on which backends."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from attnscope.declared import Declared
from attnscope.errors import PromptError
from attnscope.experiments import lengths
from attnscope.experiments.subject import Cost, Subject
from attnscope.load import LoadedModel
from attnscope.load.describe import describe
from tests.tiny import tiny


def chosen(
    model: Any, declared: tuple[Declared, ...] = (Declared(),), **given: Any
) -> torch.Tensor:
    loaded = LoadedModel(
        model=model, tokenizer=None, tokenizer_problem="", info=describe(model, "tiny"),
        default_prompt="", unused_weights=(),
    )  # fmt: skip
    one = Subject(model, range(90), Cost(lambda forwards: None))
    return lengths.choose_ids(
        one, loaded, declared, given.get("length"), given.get("ids"), given.get("seed", 0)
    )


def window(size: int) -> Declared:
    return Declared(kind="sliding", size=size)


@pytest.mark.parametrize(
    ("sizes", "tokens"),
    [((), 21), ((4,), 21), ((8,), 21), ((30,), 65), ((7,), 22), ((4096,), 21), ((8, 4096), 21)],
)
def test_longer_than_two_windows_and_no_multiple_of_any(
    sizes: tuple[int, ...], tokens: int
) -> None:
    found = chosen(tiny("llama", max_position_embeddings=1000), tuple(map(window, sizes)))
    assert found.shape == (1, tokens)
    assert all(tokens % size for size in sizes)


def test_no_longer_than_the_model_has_positions_for() -> None:
    model = tiny("gpt2", n_positions=16)
    assert chosen(model).shape[1] <= 16 - lengths.BESIDE
    assert chosen(model, length=16).shape == (1, 16)
    with pytest.raises(PromptError, match="--length 17") as told:
        chosen(model, length=17)
    assert "at most 16" in told.value.hint


@pytest.mark.parametrize("length", [0, 1, -3])
def test_a_single_token_has_no_later_one(length: int) -> None:
    with pytest.raises(PromptError, match="at least 2" if length else "does not fit"):
        chosen(tiny("llama"), length=length)


def test_given_ids_are_taken_as_they_are() -> None:
    assert chosen(tiny("llama"), ids=(5, 5, 6)).tolist() == [[5, 5, 6]]
    with pytest.raises(PromptError, match="too short"):
        chosen(tiny("llama"), ids=(5,))


def test_a_length_that_is_no_width_of_the_model() -> None:
    model = tiny("llama", intermediate_size=21)
    assert chosen(model).shape[1] == 22


def test_backends_that_were_not_named_are_those_it_switches_to() -> None:
    assert lengths.choose_backends(tiny("llama"), (), reloads=False) == ("sdpa", "eager")
    eager = tiny("llama", backend="eager")
    assert lengths.choose_backends(eager, (), reloads=False) == ("eager", "sdpa")
    assert lengths.choose_backends(tiny("mamba"), (), reloads=False)[0] in {"eager", "sdpa"}
    assert eager.config._attn_implementation == "eager"


def test_all_backends_and_named_ones() -> None:
    model = tiny("llama")
    assert lengths.choose_backends(model, ("all",), reloads=False) == (
        "sdpa", "eager", "flex_attention",
    )  # fmt: skip
    assert lengths.choose_backends(model, ("eager", "auto", "eager"), reloads=False) == (
        "eager", "sdpa",
    )  # fmt: skip
