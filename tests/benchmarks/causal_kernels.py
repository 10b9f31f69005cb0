"""How causal masking meets tiled kernels, the key/value cache and prefix-LM masks.

    python -m tests.benchmarks.causal_kernels [tiles|kernels|cache]

Prints the numbers of docs/kernels.md. Nothing is asserted about time; where two ways of counting or
of computing disagree, the script stops.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from timeit import timeit
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache, PreTrainedModel

from attnscope.capture import capture
from attnscope.load import load
from attnscope.load.options import LoadOptions
from attnscope.masks import Mask, Predicate, causal, documents, everything, prefix, sliding
from attnscope.measure.attention import output_rows, row_blocks, weight_rows
from attnscope.measure.rounding import rounding_limit
from tests.calls import make_call

WINDOW, ROUNDS, HEADS, WIDTH, NEW, PREFIX = 1024, 9, 8, 64, 32, 64


class Variant(NamedTuple):
    """One way to compute attention; tile is what its kernel can skip, None where it skips none."""

    run: Callable[[], Tensor]
    mask: Mask
    mask_bytes: int = 0
    tile: tuple[int, int] | None = None


def require(agreed: bool, what: str) -> None:
    """Stop where two ways to the same answer part."""
    if not agreed:
        raise SystemExit(f"DISAGREEMENT: {what}")


def spread(numbers: Sequence[float], digits: int = 3) -> str:
    """Minimum / median / maximum."""
    three = (min(numbers), statistics.median(numbers), max(numbers))
    return " / ".join(f"{number:.{digits}f}" for number in three)


def kinds(tokens: int) -> dict[str, tuple[Mask, Predicate]]:
    """Each kind of mask twice: in attnscope's algebra, and written out by hand for torch."""
    part = tokens // 4
    same_document = documents((torch.arange(tokens) // part)[None])
    return {
        "bidirectional": (everything(), lambda b, h, q, k: k >= 0),
        "causal": (causal(), lambda b, h, q, k: k <= q),
        "causal, window 1024":
            (causal() & sliding(WINDOW), lambda b, h, q, k: (k <= q) & (q - k < WINDOW)),
        "prefix-LM, P = N/4": (prefix(part) | causal(), lambda b, h, q, k: (k < part) | (k <= q)),
        "causal, 4 documents":
            (causal() & same_document, lambda b, h, q, k: (k <= q) & (q // part == k // part)),
    }  # fmt: skip


def count_tiles(mask: Mask, tokens: int, tile: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
    """Full and partial tiles in each row of tiles, and all open cells; never holds N x N cells."""
    inside = torch.stack([
        mask.rows(start, start + tile[0], tokens).reshape(tile[0], -1, tile[1]).sum(dim=(0, 2))
        for start in range(0, tokens, tile[0])
    ])  # fmt: skip
    full = inside == tile[0] * tile[1]
    return full.sum(dim=1), ((inside > 0) & ~full).sum(dim=1), int(inside.sum())


def tiles() -> None:
    """Full, partial and skipped tiles, counted from attnscope's masks and by torch."""
    print("tokens tile mask                   full partial skipped  tiles left  open cells")
    for tokens, edge in ((1024, 128), (4096, 128), (4096, 64), (16384, 128)):
        for name, (mask, predicate) in kinds(tokens).items():
            full, some, cells = count_tiles(mask, tokens, (edge, edge))
            # torch's count holds N x N cells: 3 GB of memory for 16,384 tokens
            blocks = create_block_mask(predicate, 1, 1, tokens, tokens, "cpu", edge)
            agreed = torch.equal(full, blocks.full_kv_num_blocks[0, 0].long())
            agreed &= torch.equal(some, blocks.kv_num_blocks[0, 0].long())
            require(agreed, f"{name}, {tokens} tokens: tiles by attnscope and by torch")
            whole, mixed, every = int(full.sum()), int(some.sum()), (tokens // edge) ** 2
            print(
                f"{tokens:6} {edge:4} {name:20} {whole:6} {mixed:7} {every - whole - mixed:7}"
                f" {(whole + mixed) / every:11.1%} {cells / tokens**2:11.1%}"
            )


def variants(tokens: int, inputs: Tensor) -> dict[str, Variant]:
    """All ways to be timed, the unmasked one first and again as a control."""
    masks = kinds(tokens)
    every, below, _, half, _ = (mask for mask, _ in masks.values())
    triangle, prefixed = (mask.rows(0, tokens, tokens) for mask in (below, half))
    term = torch.zeros(tokens, tokens).masked_fill(~triangle[0, 0], -torch.inf)
    query, key, value = inputs
    sdpa = partial(scaled_dot_product_attention, query, key, value)
    tile = (256 if tokens >= 768 else 64, 512)  # as in torch's FlashAttentionKernel.cpp
    ways = {
        "sdpa, no mask": Variant(sdpa, every),
        "sdpa, no mask again": Variant(sdpa, every),
        "sdpa, is_causal": Variant(partial(sdpa, is_causal=True), below, 0, tile),
        "sdpa, boolean causal": Variant(partial(sdpa, attn_mask=triangle), below, triangle.nbytes),
        "sdpa, boolean prefix": Variant(partial(sdpa, attn_mask=prefixed), half, prefixed.nbytes),
        "eager, added causal": Variant(
            lambda: (query @ key.mT * WIDTH**-0.5 + term).softmax(-1) @ value, below, term.nbytes
        ),
    }
    torch.compiler.reset()  # past 8 recompilations it would give up; fullgraph makes that an error
    flex = torch.compile(flex_attention, dynamic=False, fullgraph=True)
    for name, (mask, predicate) in masks.items():
        blocks = create_block_mask(predicate, 1, 1, tokens, tokens, "cpu", 128)
        size = sum(part.nbytes for part in blocks.as_tuple() if isinstance(part, Tensor))
        run = partial(flex, query, key, value, block_mask=blocks)
        ways[f"flex, {name}"] = Variant(run, mask, size, (128, 128))
    return ways


def require_right(ways: dict[str, Variant], inputs: Tensor) -> None:
    """Hold each output to attnscope's rounding limit around the float64 reference."""
    worst = 0.0
    outputs = {name: way.run() for name, way in ways.items()}
    for mask in {id(way.mask): way.mask for way in ways.values()}.values():
        call = make_call(*inputs, mask=mask, output=outputs["sdpa, no mask"])
        for start, stop in row_blocks(call):
            rows = weight_rows(call, start, stop)
            right, limit = output_rows(call, rows), rounding_limit(call, rows)
            for name in (name for name, way in ways.items() if way.mask is mask):
                off = (outputs[name][0, :, start:stop] - right).abs().amax(dim=-1)
                require(bool((off <= limit).all()), f"{name} and its float64 reference")
                worst = max(worst, float((off / limit).max()))
    apart = float((outputs["sdpa, is_causal"] - outputs["sdpa, boolean causal"]).abs().max())
    print(f"  outputs: is_causal and boolean differ by {apart:.2g}; {worst:.2f} of the limit")


@torch.no_grad()
def kernels() -> None:
    """Time of each way as a ratio to the unmasked call just before it, and its mask's bytes."""
    for tokens in (512, 1024, 2048, 4096):
        inputs = torch.randn(3, 1, HEADS, tokens, WIDTH, generator=torch.Generator().manual_seed(0))
        ways = variants(tokens, inputs)
        print(f"{tokens} tokens")
        require_right(ways, inputs)  # and everything is compiled and warm
        plain = ways.pop("sdpa, no mask").run
        base: list[float] = []
        ratios: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                base.append(timeit(plain, number=1))
                ratios[name].append(timeit(way.run, number=1) / base[-1])
        print(f"  sdpa, no mask: {statistics.median(base) * 1e3:.1f} ms")
        for name, (_, mask, size, tile) in ways.items():
            full, some, _ = count_tiles(mask, tokens, tile or (1, tokens))
            left = int((full + some).sum()) / (len(full) * tokens // tile[1]) if tile else 1.0
            print(f"  {name:25} tiles {left:.3f}  time {spread(ratios[name])}  mask {size:,} bytes")


def generate(model: PreTrainedModel, prompt: Tensor, cached: bool) -> tuple[Tensor, ...]:
    """Greedy tokens, each step's logits and seconds, and the cache's bytes."""
    tokens, logits, times, held = prompt, [], [], None
    for _ in range(NEW):
        fed = tokens if held is None else tokens[:, -1:]
        started = time.perf_counter()
        out = model(fed, past_key_values=held, use_cache=cached, logits_to_keep=1)
        times.append(time.perf_counter() - started)
        held = out.past_key_values  # None without a cache
        logits.append(out.logits[0, -1])
        tokens = torch.cat([tokens, out.logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    size = sum(x.keys.nbytes + x.values.nbytes for x in held.layers) if cached else 0
    return tokens, torch.stack(logits), torch.tensor(times), torch.tensor(size)


def products(model: PreTrainedModel, prompt: Tensor, cached: bool) -> int:
    """Query x key products of a generation, counted call by call and held to the formula."""
    counted: list[int] = []
    with capture(model, lambda call: counted.append(call.heads * call.queries * call.keys)):
        generate(model, prompt, cached)
    length, config = prompt.shape[1], model.config
    steps = sum(length + t if cached else (length + t) ** 2 for t in range(1, NEW))
    formula = config.num_hidden_layers * config.num_attention_heads * (length**2 + steps)
    require(sum(counted) == formula, "products counted and by formula")
    return formula


def read(model: PreTrainedModel, ids: Tensor, mask: Mask, cuts: list[int]) -> tuple[Any, ...]:
    """All logits and the cache's layers; each piece sees what the mask opens of what was read."""
    held, logits = DynamicCache(config=model.config), []
    for start, stop in zip([0, *cuts], cuts, strict=False):
        seen = mask.rows(start, stop, stop)
        out = model(ids[:, start:stop], attention_mask=seen, past_key_values=held, use_cache=True)
        logits.append(out.logits[0])
    return torch.cat(logits), held.layers


def prefixes(model: PreTrainedModel, ids: Tensor) -> None:
    """What a cached prefix is worth when a token is appended to it, and when it is read in two."""
    steps = list(range(PREFIX, PREFIX + 17))
    for name, mask, longer in (
        ("causal", causal(), causal()),
        ("prefix-LM", causal() | prefix(PREFIX), causal() | prefix(PREFIX + 1)),
    ):
        after = read(model, ids, longer, [PREFIX + 1])[1]
        for layer, old in enumerate(read(model, ids, mask, [PREFIX])[1]):
            new = after[layer]
            moved = (old.keys != new.keys[:, :, :PREFIX]).sum()
            moved += (old.values != new.values[:, :, :PREFIX]).sum()
            every = old.keys.numel() + old.values.numel()
            print(f"{name}, a token appended: layer {layer}, {moved} of {every} changed")
        once = read(model, ids, mask, steps[-1:])[0][PREFIX:]
        for way, cuts in (("whole", steps), ("in two halves", [PREFIX // 2, *steps])):
            apart = (read(model, ids, mask, cuts)[0][PREFIX:] - once).abs().max()
            print(f"{name}, prefix read {way}: logits {float(apart):.2g} from those of one pass")


@torch.no_grad()
def cache() -> None:
    """Generation with and without a cache on fable, and prefixes in a cache."""
    model = load(LoadOptions(model="fable", device="cpu")).model
    ids = torch.randint(0, 2048, (1, 512), generator=torch.Generator().manual_seed(0))
    for prompt in (ids[:, :64], ids[:, :128], ids[:, :256]):
        count = [products(model, prompt, cached) for cached in (False, True)]
        rounds = [[generate(model, prompt, how) for how in (False, True)] for _ in range(ROUNDS)]
        old, new = rounds[0]
        require(torch.equal(old[0], new[0]), "tokens generated with and without a cache")
        ratios = spread([float(x[2].sum() / y[2].sum()) for x, y in rounds], 1)
        step = [
            torch.stack([x[2][1:] for x in way]).median() * 1e3 for way in zip(*rounds, strict=True)
        ]
        apart = float((old[1] - new[1]).abs().max())
        print(f"{prompt.shape[1]} tokens: products {count[0]:,} without a cache, {count[1]:,} with")
        print(f"  time {ratios} times; a step {step[0]:.2f} ms without, {step[1]:.2f} ms with")
        print(f"  cache {new[3]:,} bytes; logits differ by {apart:.2g}")
    prefixes(model, ids)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for table in sys.argv[1:] or ["tiles", "kernels", "cache"]:
        {"tiles": tiles, "kernels": kernels, "cache": cache}[table]()
