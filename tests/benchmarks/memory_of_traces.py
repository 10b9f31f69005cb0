"""Does memory stay flat over many traces, and would a leak of one attention matrix be noticed?

    python -m tests.benchmarks.memory_of_traces [--traces 200] [--save docs/benchmarks/…jsonl]

Resident memory of a process after a quarter of the traces and after all of them; then the same
with a leak planted: each trace keeps one head's float32 attention matrix for good.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
from pathlib import Path

import torch

from attnscope.api import trace_tokens
from attnscope.load import LoadOptions, load, tokens_from_ids
from tests.benchmarks.record import fresh, row, save

TOKENS = 512
MATRIX = TOKENS**2 * 4
"""Bytes of one head's weights."""


def resident() -> int:
    """Bytes that this process holds, after what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def growth(traces: int, *, planted: bool) -> float:
    """Bytes by which each trace after the first quarter makes this process larger."""
    loaded = load(LoadOptions(model="fable", device="cpu"))
    tokens = tokens_from_ids(loaded, (torch.arange(TOKENS) % 2000 + 5).tolist())
    leaked: list[torch.Tensor] = []
    quarter = traces // 4
    early = 0
    for number in range(1, traces + 1):
        trace_tokens(loaded, tokens)
        if planted:
            leaked.append(torch.ones(TOKENS, TOKENS))
        if number == quarter:
            early = resident()
    return (resident() - early) / (traces - quarter)


def main() -> None:
    """Print both, each from a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=int, default=200)
    parser.add_argument("--one", choices=["as it is", "planted"])
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    if options.one:
        print(json.dumps({"bytes": growth(options.traces, planted=options.one == "planted")}))
        return
    for name in ("as it is", "planted"):
        grown = fresh("memory_of_traces", "--one", name, "--traces", options.traces)["bytes"]
        print(f"{name:8} {grown:12,.0f} bytes a trace, {grown / MATRIX:6.3f} attention matrices")
        of = {"leak": name, "traces": options.traces, "tokens": TOKENS}
        save(options.save, [row(of, {"matrices": [grown / MATRIX], "bytes": [grown]})])


if __name__ == "__main__":
    main()
