"""The floor: what rounding does to the logits."""

from __future__ import annotations

import pytest
import torch

from attnscope.experiments import floor
from attnscope.experiments.subject import Cost, Subject
from tests.experiments.models import Stack, hooks, next_one, past, subject
from tests.tiny import tiny

IDS = torch.tensor([[5, 9, 2, 7, 11, 3]])


@pytest.mark.parametrize("name", ["llama", "mamba", "mixtral"])
def test_the_floor_is_small_and_not_nothing(name: str) -> None:
    one = Subject(tiny(name), range(90), Cost(lambda forwards: None))
    measured = floor.rounding_floor(one, IDS, 0)
    assert 1e-7 < measured < 1e-3
    assert measured == floor.rounding_floor(one, IDS, 0)
    assert one.cost.forwards == 2 * (1 + floor.STIRRED)
    assert hooks(one.model) == 0


def test_the_floor_follows_the_dtype() -> None:
    wide = Subject(tiny("llama"), range(90), Cost(lambda forwards: None))
    half = Subject(tiny("llama").to(torch.bfloat16), range(90), Cost(lambda forwards: None))
    share = floor.rounding_floor(half, IDS, 0) / floor.rounding_floor(wide, IDS, 0)
    assert 2**12 < share < 2**20  # eps differs by 2**16


def test_a_leak_does_not_inflate_the_floor() -> None:
    clean, leaky = (floor.rounding_floor(subject(Stack(mix)), IDS, 0) for mix in (past, next_one))
    assert leaky < 3 * clean


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_hooks_are_gone_after_an_exception(error: type[BaseException]) -> None:
    model = Stack(past)
    random = torch.get_rng_state()
    with pytest.raises(error), floor.stirred(model, 0):
        raise error
    assert hooks(model) == 0
    assert torch.equal(torch.get_rng_state(), random)
