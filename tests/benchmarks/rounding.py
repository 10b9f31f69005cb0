"""How far right answers and wrong masks are from the rounding limit.

    python -m tests.benchmarks.rounding [--only llama] [--streamed]

One line for each small model, backend and dtype, in units of what rounding explains without its
factor: the largest difference of right answers, and the smallest largest-row difference of any head
when each query sees one key more, from the first query on and from query 24 on. `ROUNDING_FACTOR`
was set from this once. With `--streamed` the same by the proof of `attnscope heads`, in units of
what that allows: more than 1 is not verified.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import transformers
from torch import Tensor
from transformers import LlamaConfig, PreTrainedModel

from attnscope.capture import capture
from attnscope.capture.runs import forward
from attnscope.errors import AttnscopeError
from attnscope.masks import PENALTY, Mask
from attnscope.measure.focus import tally
from attnscope.measure.rounding import ROUNDING_FACTOR
from attnscope.measure.stream_focus import focus_of
from attnscope.measure.workspace import Workspace
from attnscope.records import AttentionCall
from attnscope.shrink import build
from tests.tiny import TINY

Make = Callable[[str], PreTrainedModel]
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LATE = 24


def models() -> Iterator[tuple[str, Make, int]]:
    """(name, how to build it on a backend, tokens)."""
    for name, config in TINY.items():
        if name != "mamba":
            yield name, lambda backend, config=config: build(config(), backend=backend), 33
    for width in (16, 64, 128):
        for gain in (1, 4, 16):
            yield f"llama d={width} gain={gain}", _llama(width, gain), 200


def _llama(width: int, gain: int) -> Make:
    config = LlamaConfig(
        hidden_size=256, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=width, vocab_size=97, pad_token_id=None,
    )  # fmt: skip

    def make(backend: str) -> PreTrainedModel:
        model = build(config, backend=backend)
        with torch.no_grad():
            for layer in model.model.layers:
                layer.self_attn.q_proj.weight *= gain
        return model

    return make


Distances = Callable[[AttentionCall], Tensor]


def distances(call: AttentionCall) -> Tensor:
    """Each head's largest difference, in units of the estimate."""
    heads = tally(call, torch.zeros(call.keys, dtype=torch.long)).result()
    return torch.tensor([head.rounding for head in heads]) * ROUNDING_FACTOR


def streamed(call: AttentionCall) -> Tensor:
    """Each head's largest difference along one direction, as a share of its limit."""
    return focus_of(call, Workspace(torch.zeros(call.keys, dtype=torch.long))).match.rounding


def widened(call: AttentionCall, first: int) -> AttentionCall:
    """The same call as if each query from `first` on also saw the next key."""
    mask = call.mask
    rows, columns = torch.arange(call.queries)[:, None], torch.arange(call.keys)
    opened = (columns == rows + 1) & (rows >= first)
    wider = Mask(
        predicate=lambda b, h, q, k: mask.predicate(b, h, q, k) | ((k == q + 1) & (q >= first)),
        batches=mask.batches,
        heads=mask.heads,
    )
    bias = tuple(
        term.float().masked_fill(opened & (term <= PENALTY), 0.0) if term.shape[2] > 1 else term
        for term in call.bias
    )
    return replace(call, mask=wider, bias=bias)


def measure(
    model: PreTrainedModel, tokens: int, distances: Distances
) -> tuple[float, float, float]:
    """(right answers, all rows widened, late rows widened)."""
    calls: list[AttentionCall] = []
    ids = torch.randint(5, 90, (tokens,), generator=torch.Generator().manual_seed(1)).tolist()
    with capture(model, calls.append):
        forward(model, ids)
    right = max(float(distances(call).max()) for call in calls)
    wrong = [min(float(distances(widened(call, first)).min()) for call in calls)
             for first in (0, LATE)]  # fmt: skip
    return right, wrong[0], wrong[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--streamed", action="store_true")
    options = parser.parse_args()
    only, engine = options.only, streamed if options.streamed else distances
    transformers.logging.set_verbosity_error()
    print(f"{'model':22} {'backend':8} {'dtype':9} {'right':>7} {'wider':>10} {'late':>10}")
    for name, make, tokens in models():
        for backend in ("eager", "sdpa"):
            for dtype in DTYPES if only in name else ():
                try:
                    numbers = measure(make(backend).to(dtype), tokens, engine)
                except (AttnscopeError, ValueError):
                    continue  # not every architecture has every backend
                columns = f"{numbers[0]:7.3f} {numbers[1]:10.3g} {numbers[2]:10.3g}"
                print(f"{name:22} {backend:8} {str(dtype)[6:]:9} {columns}", flush=True)


if __name__ == "__main__":
    main()
