"""The model as experiments see it: asked only for what it takes, counted, with random tokens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attnscope.errors import CaptureError
from attnscope.experiments.subject import Cost, Subject
from attnscope.load.vocabulary import usable_ids
from attnscope.shrink import shrink
from tests.experiments.models import Stack, past, subject
from tests.tiny import tiny

IDS = torch.tensor([[5, 6, 7, 8]])
NONE = IDS[:, :0]


class Recorder(nn.Module):
    """Takes what its signature says, and remembers it."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[dict[str, Any]] = []
        self.device = torch.device("cpu")
        self.config = SimpleNamespace()

    def answer(self, ids: Tensor, **given: Any) -> Any:
        self.given.append(given)
        logits = torch.zeros(*ids.shape, 3)
        return SimpleNamespace(logits=logits, past_key_values="store", cache_params="params")


class WithCache(Recorder):
    def forward(self, ids: Tensor, past_key_values: Any = None, position_ids: Any = None) -> Any:
        return self.answer(ids, past_key_values=past_key_values, position_ids=position_ids)


class WithParams(Recorder):
    def forward(self, ids: Tensor, cache_params: Any = None, attention_mask: Any = None) -> Any:
        return self.answer(ids, cache_params=cache_params, attention_mask=attention_mask)


class OpenEnded(Recorder):
    def forward(self, ids: Tensor, **more: Any) -> Any:
        return self.answer(ids, **more)


def seen(model: Recorder) -> Subject:
    return Subject(model, range(10), Cost(lambda forwards: None))


def test_arguments_that_a_model_does_not_take_are_dropped() -> None:
    model = WithCache()
    ran = seen(model)(IDS, use_cache=True, attention_mask=IDS, position_ids=IDS)
    assert torch.equal(model.given[0]["position_ids"], IDS)
    assert model.given[0]["past_key_values"] is None
    assert ran.past_key_values == "store"


def test_output_attentions_passes_through_keywords_but_others_do_not() -> None:
    model = OpenEnded()
    seen(model)(IDS, output_attentions=True, attention_mask=IDS)
    assert model.given[0] == {"output_attentions": True}
    assert "output_attentions" not in seen(WithCache()).takes


def test_a_cache_goes_where_the_model_takes_it() -> None:
    model = WithParams()
    one = seen(model)
    assert one(IDS, attention_mask=IDS).past_key_values == "params"
    assert torch.equal(model.given[0]["attention_mask"], IDS)
    one(IDS, past_key_values="kept", attention_mask=IDS)
    assert model.given[1] == {"cache_params": "kept", "attention_mask": None}
    assert seen(OpenEnded()).cache_name == ""


def test_positions_that_count_from_elsewhere_are_shifted() -> None:
    model = WithCache()
    one = seen(model)
    one.first_position = 2
    one(IDS, position_ids=torch.arange(4)[None])
    assert model.given[0]["position_ids"].tolist() == [[2, 3, 4, 5]]


def test_cost_counts_forwards_and_tokens() -> None:
    told: list[int] = []
    cost = Cost(told.append)
    one = Subject(Stack(past), range(30), cost)
    one.run("plain", IDS, NONE)
    one.run("second_row", IDS, IDS)
    one.run("alone", IDS, NONE)
    assert (cost.forwards, cost.tokens) == (6, 4 + 8 + 1 + 2 + 3 + 4)
    assert told == [1, 2, 3, 4, 5, 6]


def test_what_a_models_own_code_raises_is_a_capture_error() -> None:
    class Broken(Stack):
        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
            raise IndexError("index out of range\nand more")

    with pytest.raises(CaptureError, match="Broken failed on eager: IndexError: index out of r"):
        subject(Broken(past)).run("plain", IDS, NONE)


def test_an_interrupt_is_not_swallowed() -> None:
    class Interrupted(Stack):
        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        subject(Interrupted(past)).run("plain", IDS, NONE)


def test_logits_of_the_last_position_only_cannot_be_judged() -> None:
    class LastOnly(Stack):
        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
            return SimpleNamespace(logits=super().forward(input_ids).logits[:, -1:])

    with pytest.raises(CaptureError, match="logits for 1 of 4 tokens"):
        subject(LastOnly(past)).run("plain", IDS, NONE)


def test_draws_are_seeded_and_leave_the_random_state_alone() -> None:
    one = subject(Stack(past))
    before = torch.get_rng_state()
    assert torch.equal(one.draw(50, 3), one.draw(50, 3))
    assert not torch.equal(one.draw(50, 3), one.draw(50, 4))
    assert torch.equal(one.others(IDS, 3), one.others(IDS, 3))
    assert torch.equal(before, torch.get_rng_state())


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 40), min_size=2, max_size=12), st.integers(0, 10_000), st.data())
def test_others_always_differ_and_are_usable(usable: set[int], seed: int, data: Any) -> None:
    one = Subject(Stack(past), sorted(usable), Cost(lambda forwards: None))
    ids = torch.tensor([data.draw(st.lists(st.integers(0, 45), min_size=1, max_size=20))])
    others = one.others(ids, seed)
    assert (others != ids).all()
    assert set(others.flatten().tolist()) <= usable


def test_tokens_aside_are_as_many_as_the_condition_says() -> None:
    one = subject(Stack(past))
    counts = {key: one.aside(key, 10, 0).shape for key in ("plain", "left_padding", "padded_row")}
    assert counts == {"plain": (1, 0), "left_padding": (1, 3), "padded_row": (1, 13)}


def test_special_ids_and_placeholders_are_left_out() -> None:
    model = SimpleNamespace(
        config=transformers.LlamaConfig(bos_token_id=1, eos_token_id=[2, 5], pad_token_id=None)
    )
    tokenizer = SimpleNamespace(all_special_ids=[0, 7])
    assert usable_ids(model, tokenizer, 10) == [3, 4, 6, 8, 9]
    assert usable_ids(model, None, 6) == [0, 3, 4]


def test_placeholders_of_nested_configs_are_left_out() -> None:
    config = shrink(transformers.Qwen2VLConfig())
    left = usable_ids(SimpleNamespace(config=config), None, 97)
    for name in ("image_token_id", "video_token_id", "vision_start_token_id"):
        assert getattr(config, name) not in left
    assert len(left) > 50


def test_of_a_tiny_vocabulary_everything_is_used() -> None:
    model = SimpleNamespace(config=transformers.LlamaConfig(bos_token_id=0, eos_token_id=1))
    assert usable_ids(model, None, 3) == [0, 1, 2]


def test_a_real_model_is_asked_for_what_it_takes() -> None:
    one = Subject(tiny("mamba"), range(90), Cost(lambda forwards: None))
    assert one.cache_name == "cache_params"
    assert "position_ids" not in one.takes
    assert one.run("left_padding", IDS, torch.tensor([[1, 2, 3]])).shape == (4, 97)
