"""How do time and memory of `heads` grow with the length of a text that is read at once?

    python -m tests.benchmarks.long_text [--tokens 8192 16384 32768] [--save docs/benchmarks/…jsonl]

A Llama of fable's kind (4 layers, 8 heads of 32, random weights) without a limit of positions, two
threads. Seconds and peak resident memory of a forward pass alone and of `heads`, each in a process
of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from tests.benchmarks.record import fresh, growth, ratios, row, save, spread

TOKENS = (8192, 16384, 32768)
SIDES = ("base", "run")


def one(tokens: int, side: str) -> dict[str, float]:
    """Seconds and peak bytes of one pass in this process."""
    from transformers import LlamaConfig

    from attnscope.api import heads_of
    from attnscope.capture.runs import forward
    from attnscope.load import tokens_from_ids
    from attnscope.shrink import build
    from tests.benchmarks.ways import held

    config = LlamaConfig(
        hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=4, vocab_size=2048, max_position_embeddings=tokens,
    )  # fmt: skip
    model = build(config, backend="sdpa")
    ids = torch.randint(0, 2048, (tokens,), generator=torch.Generator().manual_seed(0)).tolist()
    loaded = held(model, "fable's kind")
    read = tokens_from_ids(loaded, ids)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started = time.perf_counter()
    if side == "base":
        forward(model, ids)
    else:
        assert all(head.verified for head in heads_of(loaded, read).focus)
    took = time.perf_counter() - started
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"seconds": took, "peak": int(status["VmHWM"].split()[0]) * 1024}


def main() -> None:
    """One line a length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(2)
    if options.side:
        print(json.dumps(one(options.tokens[0], options.side)))
        return
    for tokens in options.tokens:
        runs = {side: [fresh("long_text", "--tokens", tokens, "--side", side)
                       for _ in range(options.repeats)] for side in SIDES}  # fmt: skip
        seconds, peaks = (
            {side: [each[what] for each in found] for side, found in runs.items()}
            for what in ("seconds", "peak")
        )
        grown = [each / 1e6 for each in growth(peaks)]
        told = f"{spread(seconds['run'], 1)} s, {spread(ratios(seconds))} forwards"
        print(f"{tokens:7,} tokens  {told}, {spread(grown, 0)} MB on top", flush=True)
        save(options.save, [row({"tokens": tokens}, {**seconds, "grown": grown})])


if __name__ == "__main__":
    main()
