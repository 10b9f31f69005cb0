"""How models are fed that take something else than one row of token ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Feed = Callable[[Any, Tensor, Mapping[str, Any]], tuple[Any, Tensor]]
"""A model, ids (batch, token) and its other arguments, to what the model returned and its logits,
shape (batch, token, any)."""


def token_ids(model: Any, ids: Tensor, given: Mapping[str, Any]) -> tuple[Any, Tensor]:
    """Nearly every model."""
    output = model(ids, **given)
    return output, output.logits


def codebooks(model: Any, ids: Tensor, given: Mapping[str, Any]) -> tuple[Any, Tensor]:
    """Several codes a position, one row each: all of them are the token's id."""
    books = model.config.get_text_config(decoder=True).num_codebooks
    output = model(ids.repeat_interleave(books, dim=0), **given)
    rows = output.logits.unflatten(0, (len(ids), books))  # (batch, codebook, token, vocab)
    return output, rows.transpose(1, 2).flatten(2)


FEEDS: Mapping[str, Feed] = dict.fromkeys(
    ("musicgen", "musicgen_decoder", "musicgen_melody", "musicgen_melody_decoder"), codebooks
)
"""Model type to its feed, where it is not `token_ids`."""
