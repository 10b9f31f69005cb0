"""The ways to see a GPT-2-small's attention, each beside the forward pass that it adds to.

A model with GPT-2-small's shape (12 layers, 12 heads, 124 million random float32 weights) reads
random tokens without a cache. Models of transformers are asked for the logits of the last position
only; the others have no such choice and are not asked for any, or compute all on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import GPT2Config

from attnscope.api import heads_of, trace_tokens
from attnscope.capture.runs import forward
from attnscope.load import LoadedModel, tokens_from_ids
from attnscope.load.describe import describe
from attnscope.shrink import build

LAYERS, HEADS, BLOCK = 12, 12, 128

Run = Callable[[], object]


class Way(NamedTuple):
    """One way to see attention."""

    base: str
    """The forward pass that it is held against."""
    make: Callable[[int], tuple[Run, Run]]
    """Tokens to (this way, its base), ready to run."""
    held: int
    """Attention matrices, a head each, that it holds at once, about."""
    package: str = ""
    """What it needs besides attnscope's own packages."""


def ids(tokens: int) -> list[int]:
    """The tokens that all of them read."""
    return torch.randint(0, 50000, (tokens,), generator=torch.Generator().manual_seed(0)).tolist()


@cache
def gpt2(tokens: int, backend: str) -> Any:
    """The model; whoever changes it makes their own by `gpt2.__wrapped__`."""
    return build(GPT2Config(n_positions=tokens), backend=backend)


def plain(tokens: int, backend: str) -> Run:
    """A forward pass that nobody watches."""
    model, read = gpt2(tokens, backend), ids(tokens)
    return lambda: forward(model, read)


def eager(tokens: int) -> tuple[Run, Run]:
    """Attention computed step by step, beside torch's fused kernel."""
    return plain(tokens, "eager"), plain(tokens, "sdpa")


def output_attentions(tokens: int) -> tuple[Run, Run]:
    """What transformers offers: all weights of all heads."""
    model, read = gpt2(tokens, "eager"), torch.tensor([ids(tokens)])

    def run() -> None:
        with torch.no_grad():
            out = model(read, use_cache=False, logits_to_keep=1, output_attentions=True)
        require(len(out.attentions), out.attentions[0], tokens)

    return run, plain(tokens, "eager")


def nnsight(tokens: int) -> tuple[Run, Run]:
    """nnsight, saving the weights that an eager GPT-2 gives."""
    from nnsight import NNsight

    watched = NNsight(gpt2.__wrapped__(tokens, "eager"))
    read = torch.tensor([ids(tokens)])

    def run() -> None:
        kept: list[Any] = []
        with torch.no_grad(), watched.trace(read, use_cache=False, logits_to_keep=1):
            for layer in watched.transformer.h:
                kept.append(layer.attn.output[1].save())
        require(len(kept), kept[0], tokens)

    return run, plain(tokens, "eager")


def hooked_transformer(tokens: int) -> tuple[Run, Run]:
    """TransformerLens before version 4, with its own model of the same shape."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    model = HookedTransformer(HookedTransformerConfig(
        n_layers=LAYERS, d_model=768, n_ctx=tokens, d_head=64, n_heads=HEADS, d_mlp=3072,
        d_vocab=50257, act_fn="gelu_new", normalization_type="LN", seed=0, device="cpu",
        default_prepend_bos=False,
    ))  # fmt: skip
    return _patterns(model, tokens)


def transformer_bridge(tokens: int) -> tuple[Run, Run]:
    """TransformerLens from version 4 on, around transformers' model."""
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    model = gpt2.__wrapped__(tokens, "eager")
    model = build_bridge_from_module(model, "GPT2LMHeadModel", hf_config=model.config)
    return _patterns(model, tokens)


def _patterns(model: Any, tokens: int) -> tuple[Run, Run]:
    read = torch.tensor([ids(tokens)])
    model.eval()

    def run() -> None:
        with torch.no_grad():
            _, kept = model.run_with_cache(
                read, return_type=None, names_filter=lambda name: name.endswith("hook_pattern")
            )
        require(len(kept), kept["blocks.0.attn.hook_pattern"], tokens)

    def base() -> None:
        with torch.no_grad():
            model(read, return_type=None)

    return run, base


def floor(tokens: int) -> tuple[Run, Run]:
    """Scores and softmax of every head and query once more, and nothing done with them."""
    model, read = gpt2(tokens, "sdpa"), ids(tokens)
    scores, weights = (torch.empty(HEADS * BLOCK * tokens) for _ in range(2))

    seen: list[int] = []

    def look(query: Tensor, key: Tensor) -> None:
        _weights(query[0], key[0], scores, weights)
        seen.append(query.shape[-2])

    def run() -> None:
        seen.clear()
        with every_sdpa(look):
            forward(model, read)
        assert seen == [tokens] * LAYERS, seen

    return run, plain(tokens, "sdpa")


def _weights(query: Tensor, key: Tensor, scores: Tensor, weights: Tensor) -> None:
    """In blocks of rows, over the keys that a causal mask leaves them, in memory used again."""
    for start in range(0, query.shape[1], BLOCK):
        rows = query[:, start : start + BLOCK]
        keys = start + rows.shape[1]
        shape = (query.shape[0], rows.shape[1], keys)
        size = shape[0] * shape[1] * shape[2]
        product = torch.bmm(rows, key[:, :keys].mT, out=scores[:size].view(shape))
        torch.softmax(product, dim=-1, out=weights[:size].view(shape))


@contextmanager
def every_sdpa(look: Callable[[Tensor, Tensor], None]) -> Iterator[None]:
    """Have a look at query and key, shape (1, head, token, d), before each call of the kernel."""
    kernel = functional.scaled_dot_product_attention

    def looked_at(query: Tensor, key: Tensor, *rest: Any, **named: Any) -> Tensor:
        look(query, key)
        return kernel(query, key, *rest, **named)

    functional.scaled_dot_product_attention = looked_at
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = kernel


def heads(tokens: int, backend: str) -> tuple[Run, Run]:
    """`attnscope heads`: every head in numbers."""
    loaded = load(tokens, backend)
    read = tokens_from_ids(loaded, ids(tokens))

    def run() -> None:
        found = heads_of(loaded, read)
        assert len(found.focus) == LAYERS * HEADS, len(found.focus)
        assert not found.unchecked, found.unchecked

    return run, plain(tokens, backend)


def trace(tokens: int, backend: str) -> tuple[Run, Run]:
    """`attnscope trace`: every head in numbers and recomputed in float64, with a proof."""
    loaded = load(tokens, backend)
    read = tokens_from_ids(loaded, ids(tokens))

    def run() -> None:
        proof = trace_tokens(loaded, read).proof
        assert proof.verified, proof
        assert proof.future_max == 0.0, proof

    return run, plain(tokens, backend)


def load(tokens: int, backend: str) -> LoadedModel:
    """The model as attnscope holds it."""
    return held(gpt2(tokens, backend), "gpt2-small")


def held(model: Any, name: str) -> LoadedModel:
    """A model without a tokenizer, as attnscope holds it."""
    return LoadedModel(
        model=model, tokenizer=None, tokenizer_problem="", info=describe(model, name),
        default_prompt="", unused_weights=(),
    )  # fmt: skip


def require(layers: int, weights: Tensor, tokens: int) -> None:
    """Stop where a way did not see what it is said to see."""
    assert layers == LAYERS, layers
    assert weights.shape[-3:] == (HEADS, tokens, tokens), weights.shape


ALL, ONE_LAYER = LAYERS * HEADS, 4 * HEADS

WAYS: dict[str, Way] = {
    "plain eager": Way("plain sdpa", eager, ONE_LAYER),
    "floor": Way("plain sdpa", floor, 0),
    "heads": Way("plain sdpa", lambda tokens: heads(tokens, "sdpa"), 0),
    "trace": Way("plain sdpa", lambda tokens: trace(tokens, "sdpa"), 0),
    "heads, eager model": Way("plain eager", lambda tokens: heads(tokens, "eager"), ONE_LAYER),
    "trace, eager model": Way("plain eager", lambda tokens: trace(tokens, "eager"), ONE_LAYER),
    "output_attentions": Way("plain eager", output_attentions, ALL + ONE_LAYER),
    "nnsight": Way("plain eager", nnsight, ALL + ONE_LAYER, "nnsight"),
    "TransformerLens 3": Way(
        "its own forward", hooked_transformer, ALL + ONE_LAYER, "transformer-lens"
    ),
    "TransformerLens 4": Way(
        "its own forward", transformer_bridge, ALL + ONE_LAYER, "transformer-lens"
    ),
}
