"""Peak memory and time of a trace against a plain forward pass, each in a fresh process.

    python tests/benchmarks/trace_memory.py [--tokens 4096] [--backend sdpa]

The model has GPT-2-small's shape: 12 layers, 12 heads, 124 million random float32 weights. Keeping
all heads' weights would take layers x heads x tokens² x 4 bytes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

LAYERS, HEADS = 12, 12


def measure(kind: str, tokens: int, backend: str) -> dict[str, float]:
    """Run one kind of pass in this process; returns seconds and peak resident bytes."""
    import torch
    from transformers import GPT2Config

    from attnscope.capture.runs import forward
    from attnscope.shrink import build

    model = build(GPT2Config(n_positions=tokens), backend=backend)
    ids = torch.randint(0, 50000, (tokens,), generator=torch.Generator().manual_seed(0)).tolist()
    before = _peak()
    start = time.perf_counter()
    if kind == "forward":
        forward(model, ids)
    else:
        _trace(model, ids)
    return {"seconds": time.perf_counter() - start, "loaded": before, "peak": _peak()}


def _trace(model: Any, ids: list[int]) -> None:
    from attnscope.api import trace_tokens
    from attnscope.load import LoadedModel, tokens_from_ids
    from attnscope.load.describe import describe

    loaded = LoadedModel(
        model=model, tokenizer=None, tokenizer_problem="", info=describe(model, "gpt2-small"),
        default_prompt="", unused_weights=(),
    )  # fmt: skip
    proof = trace_tokens(loaded, tokens_from_ids(loaded, ids)).proof
    assert proof.verified, proof
    assert proof.future_max == 0.0, proof


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _fresh(kind: str, tokens: int, backend: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--kind", kind]
    command += ["--tokens", str(tokens), "--backend", backend]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    numbers: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return numbers


def main() -> None:
    """Print both passes and the growth from one to the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--backend", default="sdpa")
    parser.add_argument("--kind", choices=["forward", "trace"])
    options = parser.parse_args()
    if options.kind:
        print(json.dumps(measure(options.kind, options.tokens, options.backend)))
        return
    plain, traced = (_fresh(kind, options.tokens, options.backend) for kind in ("forward", "trace"))
    all_heads = LAYERS * HEADS * options.tokens**2 * 4
    print(f"{options.tokens} tokens, {LAYERS} layers x {HEADS} heads, {options.backend}")
    for name, numbers in (("plain forward", plain), ("trace", traced)):
        print(f"{name:14} {numbers['seconds']:8.1f} s   peak {numbers['peak'] / 1e6:8.0f} MB")
    print(f"growth         {(traced['peak'] - plain['peak']) / 1e6:8.0f} MB")
    print(f"all weights    {all_heads / 1e6:8.0f} MB in float32, never held")


if __name__ == "__main__":
    main()
