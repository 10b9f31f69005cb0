"""Hand-written records of `heads`, small and large."""

from __future__ import annotations

from functools import cache
from typing import get_args

import torch

from attnscope.records import Heads, HeadView, Role, Tokens
from tests.render.examples import HOSTILE, SENTENCE, make_focus, make_model, make_tokens, make_view

STORY = (
    " the", " girl", " went", " to", " the", " river", ",", " and", " the", " boy", " saw", " her",
    ".", "\n", "The", " water", " was", " cold", " in", " the", " morning", ".",
)  # fmt: skip


def make_heads(**changes: object) -> Heads:
    """Two layers of two heads over five tokens, read at once."""
    facts: dict[str, object] = {
        "model": make_model(layers=2, heads=2, kv_heads=2),
        "tokens": make_tokens(SENTENCE),
        "windows": ((0, 5),),
        "focus": (
            make_focus(0, 0, entropy=0.5, induction=0.25, strongest_key=1),
            make_focus(0, 1, entropy=1.5, induction=None, distance=-0.5),
            make_focus(1, 0, entropy=0.1, induction=0.75, role="induction", role_score=0.75),
            make_focus(1, 1, entropy=0.9, induction=0.5, strongest_key=4),
        ),
        "layers": (0, 1),
        "received": torch.tensor([[2.0, 1.0, 1.0, 0.5, 0.5], [3.0, 0.5, 0.5, 0.5, 0.5]]),
        "seconds": 0.125,
    }
    return Heads(**{**facts, **changes})  # type: ignore[arg-type]


@cache
def long(layers: int = 4, heads: int = 4, tokens: int = 30_000, window: int = 512) -> Heads:
    """A long text in windows, with a sink, a head that looks back one token, and two heatmaps."""
    texts = tuple(STORY[(index * 7 + index // 31) % len(STORY)] for index in range(tokens))
    starts = range(0, tokens, window)
    received = torch.full((layers, tokens), 0.6)
    received[:, starts] = 0.4 * window
    roles = get_args(Role)
    return make_heads(
        model=make_model(name="tiny", layers=layers, heads=heads, kv_heads=heads),
        tokens=make_tokens(texts),
        windows=tuple((first, min(first + window, tokens)) for first in starts),
        focus=tuple(
            make_focus(
                layer, head, role=roles[(3 * layer + 5 * head) % len(roles)],
                role_score=((7 * layer + 3 * head) % 16) / 16, distance=3.7 ** ((layer + head) % 6),
                entropy=((5 * layer + 11 * head) % 23) / 4, compared=64,
                first_weight=((layer + 3 * head) % 7) / 7, induction=((layer * head) % 5) / 5,
                duplicate=0.004, strongest_key=(layer * 4 + head) % 11 * window,
            )
            for layer in range(layers)
            for head in range(heads)
        ),
        layers=tuple(range(layers)),
        received=received,
        views=(pooled_view(tokens, window),),
        seconds=12.3,
    )  # fmt: skip


def pooled_view(tokens: int, window: int, **changes: object) -> HeadView:
    """Every query looks at the first token of its window alone, in 512 cells a side."""
    pool = -(-tokens // 512)
    size = -(-tokens // pool)
    weights = torch.zeros(size, size, dtype=torch.float64)
    for query in range(tokens):
        queries = min((query // pool + 1) * pool, tokens) - query // pool * pool
        weights[query // pool, query // window * window // pool] += 1 / queries
    return make_view(
        weights, pool=pool, layer=min(3, tokens), head=1, reason="asked for",
        future=torch.zeros(size, size, dtype=torch.bool), **changes,
    )  # fmt: skip


def hostile() -> Heads:
    """Tokens, names and notes that try to break the terminal."""
    size = len(HOSTILE)
    return make_heads(
        model=make_model(name="\x1b]0;title\x07[red]evil[/red]\u202e"),
        tokens=make_tokens(HOSTILE, special=2),
        windows=((0, 8), (8, size)),
        received=torch.ones(2, size),
        notes=("\u202egnirts \x1b[31m",),
        unchecked=("\x1b[2J layer",),
    )


def same(first: Tokens | Heads, second: Tokens | Heads) -> bool:
    """True where the records agree in every field, NaN with NaN, types included."""
    return _plain(first) == _plain(second)


def _plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), str(value.tolist()))
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    names = getattr(value, "__dataclass_fields__", None)
    if names:
        return (type(value).__name__, *((name, _plain(getattr(value, name))) for name in names))
    return (type(value).__name__, repr(value))
