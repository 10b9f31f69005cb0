"""What does a row of the census cost, beside one plain forward pass of the same small model?

    python -m tests.benchmarks.census_time [TYPE …] [--rounds 3]
        [--save docs/benchmarks/census_time.jsonl]

Judges the types in the quick form on eager and sdpa, one at a time, each in a process of its own as
the census does, and runs their shrunken models plainly; both in turn, minimum / median / maximum.
A row's seconds include building the model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoConfig

from attnscope.capture.runs import forward
from attnscope.census.run import CensusOptions, census
from attnscope.shrink import build
from attnscope.shrink.configs import shrink
from tests.benchmarks.record import ratios, row, save, seconds, spread

TYPES = ("bloom", "falcon", "gemma2", "gpt2", "llama", "mistral", "opt", "qwen3")
TOKENS = 64


def measure(kind: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of a row, and of the fastest of ten forward passes."""
    model = build(shrink(AutoConfig.for_model(kind)))
    ids = (torch.arange(TOKENS) % 50 + 3).tolist()
    options = CensusOptions(only=(kind,), backends=("eager", "sdpa"), quick=True, jobs=1)
    numbers: dict[str, list[float]] = {"base": [], "run": []}
    for _ in range(rounds):
        passes = [seconds(lambda: forward(model, ids)) for _ in range(10)]
        judged = census(options).rows
        states = [each.state for each in judged if not each.variant]
        if not {"pass", "fail"} >= {*states}:
            raise SystemExit(f"{kind}: no verdict, {states}")
        numbers["base"].append(min(passes))
        numbers["run"].append(sum(each.seconds for each in judged))
    return numbers


def main() -> None:
    """Print one line a type."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("types", nargs="*", default=TYPES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for kind in options.types:
        numbers = measure(kind, options.rounds)
        print(
            f"{kind:10} {spread(numbers['run'], 1)} s; {spread(ratios(numbers), 0)} plain forwards"
            f" of {TOKENS} tokens",
            flush=True,
        )
        save(options.save, [row({"type": kind}, numbers)])


if __name__ == "__main__":
    main()
