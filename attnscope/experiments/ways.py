"""The ways to run a model: one function for each condition, under its key.

Each takes a model that is called as transformers' models are, the ids of the tokens in question,
shape (1, token), and the ids aside, tokens that must not matter, shape (1, aside); it returns the
logits of the tokens in question, shape (1, token, vocab).

These functions use torch and transformers alone, because a reproducer is made from their source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, StaticCache

Way = Callable[[Any, Tensor, Tensor], Tensor]


def plain(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    return model(ids, use_cache=False).logits


def ones(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    return model(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits


def cache(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    return model(ids, use_cache=True).logits


def attentions(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    return model(ids, output_attentions=True, use_cache=False).logits


def left_padding(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    mask = torch.cat([torch.zeros_like(aside), torch.ones_like(ids)], 1)
    places = (mask.cumsum(1) - 1).clamp(min=0)
    both = torch.cat([aside, ids], 1)
    logits = model(both, attention_mask=mask, position_ids=places, use_cache=False).logits
    return logits[:, aside.shape[1] :]


def right_padding(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    mask = torch.cat([torch.ones_like(ids), torch.zeros_like(aside)], 1)
    logits = model(torch.cat([ids, aside], 1), attention_mask=mask, use_cache=False).logits
    return logits[:, : ids.shape[1]]


def first_row(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    return model(torch.cat([ids, aside]), use_cache=False).logits[:1]


def second_row(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    return model(torch.cat([aside, ids]), use_cache=False).logits[1:]


def padded_row(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    pads = aside.shape[1] - ids.shape[1]
    both = torch.cat([aside, torch.cat([aside[:, :pads], ids], 1)])
    mask = torch.ones_like(both)
    mask[1, :pads] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(both, attention_mask=mask, position_ids=places, use_cache=False).logits
    return logits[1:, pads:]


def packed(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    places = [torch.arange(part.shape[1], device=ids.device) for part in (aside, ids)]
    both = torch.cat([aside, ids], 1)
    logits = model(both, position_ids=torch.cat(places)[None], use_cache=False).logits
    return logits[:, aside.shape[1] :]


def packed_cached(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    places = [torch.arange(part.shape[1], device=ids.device) for part in (aside, ids)]
    both = torch.cat([aside, ids], 1)
    given = {"position_ids": torch.cat(places)[None], "attention_mask": torch.ones_like(both)}
    return model(both, use_cache=True, **given).logits[:, aside.shape[1] :]


def steps(model: Any, ids: Tensor, sizes: list[int], store: Any = None, mask: Any = None) -> Tensor:
    logits, given, end = [], {}, 0
    for piece in ids.split(sizes, 1):
        end += piece.shape[1]
        if mask is not None:
            places = (mask[:, :end].cumsum(1) - 1).clamp(min=0)[:, -piece.shape[1] :]
            given = {"attention_mask": mask[:, :end], "position_ids": places}
        out = model(piece, past_key_values=store, use_cache=True, **given)
        store, logits = out.past_key_values, [*logits, out.logits]
    return torch.cat(logits, 1)


def one_token(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    return steps(model, ids, [half] + [1] * (ids.shape[1] - half))


def one_token_positions(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    sizes = [half] + [1] * (ids.shape[1] - half)
    return steps(model, ids, sizes, mask=torch.ones_like(ids))


def several_tokens(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    threes, rest = divmod(ids.shape[1] - half, 3)
    return steps(model, ids, [half] + [3] * threes + [rest] * (rest > 0))


def several_tokens_positions(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    threes, rest = divmod(ids.shape[1] - half, 3)
    sizes = [half] + [3] * threes + [rest] * (rest > 0)
    return steps(model, ids, sizes, mask=torch.ones_like(ids))


def chunked_prefill(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    fives, rest = divmod(ids.shape[1], 5)
    return steps(model, ids, [5] * fives + [rest] * (rest > 0))


def left_padded_decoding(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    mask = torch.cat([torch.zeros_like(aside), torch.ones_like(ids)], 1)
    half = ids.shape[1] // 2
    sizes = [aside.shape[1] + half] + [1] * (ids.shape[1] - half)
    logits = steps(model, torch.cat([aside, ids], 1), sizes, mask=mask)
    return logits[:, aside.shape[1] :]


def batched_decoding(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    pads, half = aside.shape[1] - ids.shape[1], ids.shape[1] // 2
    both = torch.cat([aside, torch.cat([aside[:, :pads], ids], 1)])
    mask = torch.ones_like(both)
    mask[1, :pads] = 0
    sizes = [pads + half] + [1] * (ids.shape[1] - half)
    return steps(model, both, sizes, mask=mask)[1:, pads:]


def right_padded_decoding(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half, pads = ids.shape[1] // 2, aside.shape[1]
    both = torch.cat([ids[:, :half], aside, ids[:, half:]], 1)
    mask = torch.ones_like(both)
    mask[:, half : half + pads] = 0
    logits = steps(model, both, [half + pads] + [1] * (ids.shape[1] - half), mask=mask)
    return torch.cat([logits[:, :half], logits[:, half + pads :]], 1)


def full_length_cache(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    return steps(model, ids, [half] + [1] * (ids.shape[1] - half), DynamicCache())


def sliding_cache(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    store = DynamicCache(config=model.config)
    return steps(model, ids, [half] + [1] * (ids.shape[1] - half), store)


def static_cache(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    store = StaticCache(config=model.config, max_cache_len=ids.shape[1] + 4)
    return steps(model, ids, [half, 3] + [1] * (ids.shape[1] - half - 3), store)


def offloaded_cache(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    store = DynamicCache(config=model.config, offloading=True)
    return steps(model, ids, [half] + [1] * (ids.shape[1] - half), store)


def reordered(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    out = model(torch.cat([aside, ids])[:, :half], use_cache=True)
    out.past_key_values.reorder_cache(torch.tensor([1, 1], device=ids.device))
    rest = steps(
        model, torch.cat([ids, ids])[:, half:], [1] * (ids.shape[1] - half), out.past_key_values
    )
    return torch.cat([out.logits[1:], rest[:1]], 1)


def cropped(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    half = ids.shape[1] // 2
    store = DynamicCache(config=model.config)
    getattr(store, "activate_past_recording", lambda: None)()
    out = model(torch.cat([ids[:, :half], aside], 1), past_key_values=store, use_cache=True)
    store.crop(-aside.shape[1])
    rest = model(ids[:, half:], past_key_values=store, use_cache=True)
    return torch.cat([out.logits[:, :half], rest.logits], 1)


def after_longer(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    model(aside, use_cache=False)
    return model(ids, use_cache=False).logits


def alone(model: Any, ids: Tensor, aside: Tensor) -> Tensor:
    ends = range(1, ids.shape[1] + 1)
    return torch.cat([model(ids[:, :end], use_cache=False).logits[:, -1:] for end in ends], 1)


WAYS: Mapping[str, Way] = {
    way.__name__: way
    for way in (
        plain, ones, cache, attentions, left_padding, right_padding, first_row, second_row,
        padded_row, packed, packed_cached, one_token, one_token_positions, several_tokens,
        several_tokens_positions, chunked_prefill, left_padded_decoding, batched_decoding,
        right_padded_decoding, full_length_cache, sliding_cache, static_cache, offloaded_cache,
        reordered, cropped, after_longer, alone,
    )
}  # fmt: skip
"""Condition key to the code that runs it."""

ASIDE: Mapping[str, Callable[[int], int]] = {
    **dict.fromkeys(("left_padding", "right_padding"), lambda tokens: 3),
    **dict.fromkeys(("left_padded_decoding", "right_padded_decoding"), lambda tokens: 3),
    **dict.fromkeys(("first_row", "second_row", "reordered"), lambda tokens: tokens),
    **dict.fromkeys(("padded_row", "batched_decoding"), lambda tokens: tokens + 3),
    **dict.fromkeys(("packed", "packed_cached"), lambda tokens: 6),
    "cropped": lambda tokens: 3,
    "after_longer": lambda tokens: 2 * tokens,
}
"""How many tokens stand aside, from the number of tokens in question."""
