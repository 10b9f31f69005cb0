"""Which tokens, how many, and on which backends."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from attnscope.declared import Declared
from attnscope.errors import CaptureError, PromptError
from attnscope.experiments.rows import layout_of
from attnscope.experiments.subject import Subject
from attnscope.experiments.switches import attention
from attnscope.load import LoadedModel, tokens_from_ids
from attnscope.load.describe import longest_prompt
from attnscope.load.stand_in import StandIn

SHORTEST, LONGEST = 21, 600
"""Tokens by default. Longer than two windows where that stays below the second number."""

SHORTEST_TOLD = 8
"""Tokens up to which an example is not shortened for clearness."""

BESIDE = 6
"""Positions that conditions need beside the tokens in question: pads, another document."""


def choose_ids(
    subject: Subject,
    loaded: LoadedModel,
    declared: Sequence[Declared],
    length: int | None,
    ids: Sequence[int] | None,
    seed: int,
) -> Tensor:
    """The tokens in question, shape (1, token).

    Raises PromptError for a length that the model has no positions for, or of less than 2.
    """
    model = loaded.model
    if isinstance(model, StandIn) and length is None and ids is None and model.example is not None:
        ids = model.example.tolist()
    if ids is not None:
        if len(ids) < 2:
            raise PromptError(
                f"{len(ids)} token is too short: there is no later one to see.",
                "Give a longer prompt.",
            )
        return torch.tensor([list(tokens_from_ids(loaded, ids).ids)])
    limit = longest_prompt(loaded.model)
    if length is not None:
        if length < 2 or (limit is not None and length > limit):
            most = "" if limit is None else f" and at most {limit}"
            raise PromptError(f"--length {length} does not fit.", f"It must be at least 2{most}.")
        return subject.draw(length, seed)
    return subject.draw(_fitting(subject.model, declared, limit), seed)


def _fitting(model: Any, declared: Sequence[Declared], limit: int | None) -> int:
    """Longer than two windows and no multiple of any, and unlike any width of the model, so that a
    row a token is told from a row a feature.
    """
    chunks = [size + 5 for size in _chunks(model.config) if size + 5 <= LONGEST]
    narrow = sorted(one.size for one in declared if one.narrow and 2 * one.size + 5 <= LONGEST)
    tokens = max(SHORTEST, 2 * narrow[-1] + 5 if narrow else 0, *chunks)
    if limit is not None:
        tokens = min(tokens, max(2, limit - BESIDE))
    widths = {size for one in model.parameters() for size in one.shape}
    text = model.config.get_text_config(decoder=True)
    widths |= {value for value in vars(text).values() if type(value) is int}
    while (
        tokens in widths
        or any(tokens % size == 0 for size in narrow if size > 1)
        or layout_of(model, tokens) == "unsure"
    ):
        tokens += 1
    return tokens if limit is None else min(tokens, limit)


def clearer(model: nn.Module, ids: Tensor) -> Tensor:
    """A little fewer of the ids, shape (1, token), where their number is also that of something
    else in a model whose axes are told by their lengths; else the same.
    """
    tokens = ids.shape[1]
    for fewer in range(tokens, max(tokens - 5, SHORTEST_TOLD), -1):
        if layout_of(model, fewer) != "unsure":
            return ids[:, :fewer]
    return ids


def _chunks(config: Any) -> list[int]:
    """Lengths at which state-space layers start a new chunk."""
    text = config.get_text_config(decoder=True)
    found = (getattr(text, name, None) for name in ("chunk_size", "mamba_chunk_size"))
    return [size for size in found if type(size) is int and size > 0]


def choose_backends(model: Any, asked: Sequence[str], *, reloads: bool) -> tuple[str, ...]:
    """The attention implementations to ask, the loaded one first.

    Those that were not named must be ones to which the model can be switched, or loaded anew.
    """
    loaded = model.config._attn_implementation or "eager"
    if isinstance(model, StandIn) and tuple(asked) in {(), ("all",)}:
        return model.kernels
    if asked and tuple(asked) != ("all",):
        return tuple(dict.fromkeys(loaded if one == "auto" else one for one in asked))
    usable = [loaded]
    if "eager" not in usable and "flash" not in loaded:
        usable.append("eager")
    if "sdpa" not in usable and getattr(model, "_supports_sdpa", False):
        usable.append("sdpa")
    if tuple(asked) == ("all",):
        usable += [one for one in _compiled(model) if one not in usable]
    return tuple(one for one in usable if one == loaded or reloads or _switches(model, one))


def _compiled(model: Any) -> list[str]:
    found = ["flex_attention"] if getattr(model, "_supports_flex_attn", False) else []
    flash = getattr(model, "_supports_flash_attn", False) and find_spec("flash_attn") is not None
    return [*found, "flash_attention_2"] if flash and torch.cuda.is_available() else found


def _switches(model: Any, name: str) -> bool:
    try:
        with attention(model, name):
            return True
    except CaptureError:
        return False


def sample(tokens: int, count: int | None, seed: int) -> tuple[int, ...]:
    """Positions to change: all, or both ends, the middle and random ones."""
    if count is None or count >= tokens:
        return tuple(range(tokens))
    fixed = [0, tokens - 1, tokens // 2, tokens // 2 - 1, 1, tokens - 2][: max(count, 2)]
    generator = torch.Generator().manual_seed(seed)
    rest = [one for one in torch.randperm(tokens, generator=generator).tolist() if one not in fixed]
    return tuple(sorted({*fixed, *rest[: max(count - len(fixed), 0)]}))
