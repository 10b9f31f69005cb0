"""The lessons as a library: what is passed over is said, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from attnscope import lessons
from attnscope.errors import PromptError, SelectionError
from attnscope.expressions import parse
from attnscope.load import LoadedModel, LoadOptions, any_tokens, load, padded, tokens_from_ids
from attnscope.load.continuation import continued, room_for
from attnscope.records import CELL_FUTURE_SEEN, CELL_SEEN
from tests.test_misprints import masked
from tests.tiny import in_memory, tiny

IDS = list(range(5, 17))


def state_of(model: PreTrainedModel) -> tuple[Any, ...]:
    hooks = [
        len(store)
        for module in model.modules()
        for name, store in vars(module).items()
        if name.endswith("_hooks") and store
    ]
    marks = [name for module in model.modules() for name in vars(module) if "attnscope" in name]
    return hooks, marks, model.config._attn_implementation, model.training


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([IDS]), use_cache=False).logits


COMMANDS = {
    "delivered_masks": lessons.delivered_masks,
    "compare": lessons.compare,
    "generate": lambda loaded, tokens: lessons.generate(loaded, tokens, 2),
    "cheat": lambda loaded, tokens: lessons.cheat(loaded, tokens, 8),
}


@pytest.mark.parametrize("name", ["llama", "bloom", "mixtral"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_model_is_left_as_it_was(command: str, name: str) -> None:
    loaded = in_memory(tiny(name))
    before, state = logits(loaded.model), state_of(loaded.model)
    COMMANDS[command](loaded, tokens_from_ids(loaded, IDS))
    assert torch.equal(logits(loaded.model), before)
    assert state_of(loaded.model) == state


@pytest.mark.parametrize("name", ["llama", "bloom"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_interruption_leaves_the_model_as_it_was(command: str, name: str) -> None:
    loaded = in_memory(tiny(name))
    before, state = logits(loaded.model), state_of(loaded.model)
    runs = 0

    def interrupt(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal runs
        runs += 1
        if runs == (1 if command == "delivered_masks" else 2):
            raise KeyboardInterrupt

    handle = loaded.model.model.layers[1] if name == "llama" else loaded.model.transformer.h[1]
    hook = handle.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        COMMANDS[command](loaded, tokens_from_ids(loaded, IDS))
    hook.remove()
    assert torch.equal(logits(loaded.model), before)
    assert state_of(loaded.model) == state


def test_a_mask_under_which_a_query_is_blind_is_not_given_to_the_model() -> None:
    """Eager kernels share such a row out over all keys, others give zeros or NaN."""
    loaded = in_memory(tiny("llama", backend="eager"))
    result = lessons.compare(loaded, tokens_from_ids(loaded, IDS), "causal & padding:left:2")
    assert result.head is not None
    assert result.whole is None
    assert "2 queries see no key at all" in " ".join(result.notes)


def test_a_call_of_another_shape_is_told_and_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = in_memory(tiny("llama"))
    tokens = tokens_from_ids(loaded, IDS)
    fewer = tokens_from_ids(loaded, IDS[:4])
    real = lessons.forward
    monkeypatch.setattr(lessons, "forward", lambda model, ids, beside: real(model, fewer.ids))
    result = lessons.delivered_masks(loaded, tokens)
    assert result.masks == ()
    assert "a call of 4 queries over 4 keys, not drawn" in " ".join(result.notes)


def test_what_is_not_followed_is_told() -> None:
    class Own(nn.Module):
        """Attention whose scores are sorted before the softmax: not followed."""

        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, hidden_states: torch.Tensor, **rest: Any) -> tuple[torch.Tensor, None]:
            scores = hidden_states @ hidden_states.transpose(-1, -2)
            scores = scores.sort(dim=-1).values[:, None].tril()
            return torch.softmax(scores, -1)[:, 0] @ hidden_states, None

    model = tiny("llama")
    model.model.layers[0].self_attn = Own(model.model.layers[0].self_attn)
    loaded = in_memory(model)
    tokens = tokens_from_ids(loaded, IDS)
    assert "model.layers.0" in " ".join(lessons.delivered_masks(loaded, tokens).notes)
    compared = lessons.compare(loaded, tokens)
    assert compared.whole is None
    assert "model.layers.0" in " ".join(compared.notes)
    assert "layers 0" in " ".join(lessons.generate(loaded, tokens, 2).notes)


def test_layers_that_mix_in_other_ways_are_named() -> None:
    loaded = in_memory(tiny("llama"))
    assert lessons._other_mixers(loaded, {0, 1}) == []
    assert "layers 1 " in lessons._other_mixers(loaded, {0})[0]


def test_pads_are_told_apart() -> None:
    loaded = in_memory(tiny("llama"))
    tokens = padded(loaded, tokens_from_ids(loaded, [7, 8]), 2, 1)
    assert tokens.ids == (0, 0, 7, 8, 0)
    assert tokens.labels == ("<pad>", "<pad>", "7", "8", "<pad>")
    assert tokens.special == (True, True, False, False, True)
    with pytest.raises(PromptError, match="positions for 128"):
        padded(loaded, tokens_from_ids(loaded, [7]), 128, 0)


def test_any_tokens_are_ordinary_ones() -> None:
    loaded = in_memory(tiny("llama"))
    tokens = any_tokens(loaded, 120)
    assert len(tokens) == 120
    config = loaded.model.config
    assert not {config.bos_token_id, config.eos_token_id} & set(tokens.ids)
    with pytest.raises(PromptError):
        any_tokens(loaded, 129)


def fable() -> LoadedModel:
    return load(LoadOptions(model="fable"))


def test_a_continuation_follows_its_prompt() -> None:
    loaded = fable()
    whole, start = continued(loaded, "The cat", "sat on the mat")
    assert [label.strip() for label in whole.labels[start:]] == ["sat", "on", "the", "mat"]
    with pytest.raises(PromptError, match="joins the end of the prompt"):
        continued(loaded, "The ca ", "t")  # the space is a token only before another word


def test_room_is_what_positions_leave() -> None:
    loaded = in_memory(tiny("llama"))
    tokens = tokens_from_ids(loaded, [5] * 126)
    assert room_for(loaded, tokens, 10) == 3
    assert room_for(loaded, tokens, 2) == 2


def test_a_continuation_must_leave_a_prompt() -> None:
    loaded = in_memory(tiny("llama"))
    for start in (0, 12, -1):
        with pytest.raises(SelectionError):
            lessons.cheat(loaded, tokens_from_ids(loaded, IDS), start)


def test_a_planted_leak_is_drawn() -> None:
    loaded = in_memory(tiny("llama"))
    tokens = tokens_from_ids(loaded, IDS)
    assert not any(mask.leaves_open for mask in lessons.delivered_masks(loaded, tokens).masks)
    with masked(loaded.model, "row:0,1"):
        (drawn,) = lessons.delivered_masks(loaded, tokens).masks
    expected = parse("row:0,1").mask(12).rows(0, 12, 12)[0, 0]
    assert torch.equal((drawn.cells & (CELL_SEEN | CELL_FUTURE_SEEN)) > 0, expected)


def test_a_model_that_leaks_by_itself_is_told() -> None:
    loaded = in_memory(tiny("llama"))
    tokens = tokens_from_ids(loaded, IDS)
    with masked(loaded.model, "bidirectional"):
        result = lessons.compare(loaded, tokens)
    assert result.whole is not None
    assert result.whole.leak.own_move > 0.01 > result.whole.leak.own_limit
    assert result.head is not None
    assert bool(result.head.own.future.any())
