"""Token by token, against a plain loop over the model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from attnscope.errors import CaptureError
from attnscope.experiments import generation
from attnscope.experiments.caches import copies, states
from attnscope.experiments.generation import Written, namer, write
from attnscope.experiments.subject import Cost, Subject
from tests.test_misprints import masked
from tests.tiny import tiny

IDS = list(range(5, 19))


def subject_of(name: str, **overrides: Any) -> Subject:
    model = tiny(name, **overrides)
    model.generation_config.eos_token_id = None
    return Subject(model, range(5, 97), Cost(lambda forwards: None))


def written(name: str, steps: int = 4, **overrides: Any) -> Written:
    return write(subject_of(name, **overrides), IDS, steps, 3, (1, 1), namer(None))


def greedy(name: str, steps: int, **overrides: Any) -> list[int]:
    model, ids = tiny(name, **overrides), list(IDS)
    with torch.no_grad():
        for _ in range(steps):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids


CACHED = ["gpt2", "llama", "mistral", "gemma2", "gpt_oss", "mixtral", "bloom", "falcon"]


@pytest.mark.parametrize("name", [*CACHED, "mamba"])
def test_what_is_written_and_that_both_ways_agree(name: str) -> None:
    result = written(name)
    assert result.ids == greedy(name, 4)
    assert [step.candidates[0].token for step in result.steps] == result.ids[len(IDS) :]
    assert all(step.drift <= result.limit for step in result.steps)
    assert 0 < result.limit < 1e-2
    assert result.cached


@pytest.mark.parametrize("name", ["llama", "bloom", "falcon"])
def test_costs_are_counted(name: str) -> None:
    """One row of the mask a step against all of its rows."""
    result = written(name)
    model = tiny(name).config
    each = model.num_hidden_layers * model.num_attention_heads
    first, *later = result.steps
    assert (first.cached.tokens, first.cached.products) == (14, each * 14 * 14)
    for number, step in enumerate(later, start=15):
        assert (step.cached.tokens, step.cached.products) == (1, each * number)
        assert (step.full.tokens, step.full.products) == (number, each * number * number)


def test_the_cache_is_unchanged_and_grows_by_one() -> None:
    first, second, *_ = written("llama").steps
    (before,), (after,) = first.cache, second.cache
    assert (before.kind, before.layers, before.shape) == ("key/value", (0, 1), (1, 2, 14, 16))
    assert (before.first_new, before.end, before.unchanged) == (0, 14, None)
    assert (after.shape, after.first_new, after.end) == ((1, 2, 15, 16), 14, 15)
    assert after.unchanged is True
    assert after.bytes == 2 * 2 * 2 * 15 * 16 * 4


def test_a_sliding_cache_lets_go_of_the_oldest() -> None:
    step = written("mistral").steps[-1]
    (state,) = step.cache
    assert (state.shape[2], state.dropped, state.unchanged) == (7, 1, True)
    (row,) = step.rows
    assert row.first_key == 17 - 8
    assert row.allowed.tolist() == [True] * 8


def test_a_state_is_no_list_of_entries() -> None:
    for step in written("mamba").steps:
        assert {state.kind for state in step.cache} == {"state"}
        assert {state.unchanged for state in step.cache} == {None}
        assert step.rows == ()
        assert step.weights is None


def test_a_changed_entry_is_seen() -> None:
    subject = subject_of("llama")
    store = subject(torch.tensor([IDS]), use_cache=True).past_key_values
    kept = copies(store, 14)
    store = subject(torch.tensor([[5]]), use_cache=True, past_key_values=store).past_key_values
    assert states(store, kept, 15)[0].unchanged is True
    store.layers[1].values[0, 0, 3, 2] += 1e-6
    found = {state.layers: state.unchanged for state in states(store, kept, 15)}
    assert found == {(0,): True, (1,): False}


def test_the_mask_grows_by_a_row() -> None:
    result = written("gemma2")
    drawn = {mask.layers: (mask.cells & 1).tolist() for mask in result.masks}
    full, window = torch.ones(17, 17).tril(), torch.ones(17, 17).tril().triu(-7)
    assert drawn == {(0,): window.int().tolist(), (1,): full.int().tolist()}


def test_the_newest_weights_are_the_models_own() -> None:
    model = tiny("llama", backend="eager")
    result = written("llama", backend="eager")
    for step in result.steps:
        with torch.no_grad():
            run = model(torch.tensor([result.ids[: step.read + 1]]), output_attentions=True)
        assert step.weights is not None
        torch.testing.assert_close(
            step.weights.weights, run.attentions[1][0, 1, -1].double(), atol=1e-5, rtol=0
        )


def test_candidates_are_probabilities_in_order() -> None:
    step = written("llama").steps[0]
    with torch.no_grad():
        logits = tiny("llama")(torch.tensor([IDS])).logits[0, -1]
    best = torch.softmax(logits.double(), -1).topk(3)
    assert [one.token for one in step.candidates] == best.indices.tolist()
    torch.testing.assert_close(
        torch.tensor([one.probability for one in step.candidates], dtype=torch.float64),
        best.values, atol=1e-6, rtol=0,
    )  # fmt: skip


def test_it_ends_where_the_model_ends_the_text() -> None:
    subject = subject_of("llama")
    last = greedy("llama", 2)[-1]
    subject.model.generation_config.eos_token_id = [last]
    result = write(subject, IDS, 9, 3, None, namer(None))
    assert result.ended
    assert len(result.steps) == 2


def test_without_a_cache_each_step_reads_everything() -> None:
    subject = subject_of("llama")
    subject.cache_name = ""
    result = write(subject, IDS, 3, 3, None, namer(None))
    assert not result.cached
    assert "no cache" in result.untold
    assert result.ids == greedy("llama", 3)
    assert [step.cached.tokens for step in result.steps] == [14, 15, 16]
    assert all(step.cached == step.full and step.cache == () for step in result.steps)
    assert len(result.masks) == 1


@pytest.mark.parametrize("ids", [[5], [5, 6]])
def test_short_prompts(ids: list[int]) -> None:
    result = write(subject_of("llama"), ids, 2, 50, (0, 0), namer(None))
    assert len(result.steps) == 2
    assert result.steps[0].read == len(ids) - 1


def test_positions_may_be_used_up() -> None:
    """128 positions: the last token that is written need not be read."""
    subject = subject_of("gpt2")
    ids = [5 + place % 80 for place in range(126)]
    result = write(subject, ids, 3, 1, None, namer(None))
    assert len(result.ids) == 129
    assert math.isfinite(result.limit)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_clean_cache_agrees_in_every_dtype(dtype: torch.dtype) -> None:
    subject = subject_of("llama")
    subject.model.to(dtype)
    result = write(subject, IDS, 4, 3, (1, 1), namer(None))
    assert result.limit < 1e-3
    assert all(step.drift <= result.limit for step in result.steps)


class Forgetting(LlamaForCausalLM):
    """With a cache, the first key is lost."""

    def forward(self, *args: Any, past_key_values: Any = None, **rest: Any) -> Any:
        if past_key_values is not None:
            past_key_values.layers[0].keys[:, :, 0] = 0
        return super().forward(*args, past_key_values=past_key_values, **rest)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_cache_bug_does_not_hide_behind_half_precision(dtype: torch.dtype) -> None:
    subject = subject_of("llama")
    subject.model.__class__ = Forgetting
    subject.model.to(dtype)
    result = write(subject, IDS, 4, 3, None, namer(None))
    assert max(step.drift for step in result.steps) > 10 * result.limit
    assert [state.unchanged for step in result.steps[1:] for state in step.cache].count(False) > 0


def test_what_a_prompt_that_looks_ahead_means_is_told() -> None:
    model = tiny("llama")
    with masked(model, "bidirectional"):
        subject = Subject(model, range(5, 97), Cost(lambda forwards: None))
        result = write(subject, IDS, 2, 1, None, namer(None))
    assert math.isnan(result.limit)
    assert "another question" in result.untold


def test_no_room_for_a_copy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "exact_copy", lambda model, dtype: None)
    subject = subject_of("llama")
    subject.model.to(torch.bfloat16)
    result = write(subject, IDS, 2, 1, None, namer(None))
    assert math.isnan(result.limit)
    assert "no room for a copy" in result.untold


def test_no_numbers_are_told() -> None:
    subject = subject_of("llama")
    subject.model.model.layers[1].self_attn.v_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(CaptureError, match="no numbers"):
        write(subject, IDS, 2, 1, None, namer(None))


def test_what_is_kept_beside_keys_and_values_counts() -> None:
    subject = subject_of("llama")
    store = subject(torch.tensor([IDS]), use_cache=True).past_key_values
    plain = states(store, {}, 14)[0].bytes
    store.layers[0].indexer_keys = torch.zeros(1, 14, 8)
    kept = copies(store, 14)
    assert sum(state.bytes for state in states(store, {}, 14)) == plain + 14 * 8 * 4
    store.layers[0].indexer_keys[0, 3, 0] = 1.0
    found = {state.layers: state.unchanged for state in states(store, kept, 14)}
    assert found == {(0,): False, (1,): True}
