"""What does it cost to see where every head looks, beside the forward pass alone?

    python -m tests.benchmarks.capture time [--tokens 128 512 …] [--pairs 9] [--ways trace heads]
    python -m tests.benchmarks.capture memory [--tokens 1024 4096 8192] [--repeats 3]

`time`: seconds of each way over its forward pass, in turn in one process, two threads. "floor" is
what any statistics of weights must cost: scores and softmax once more. `memory`: peak resident
memory of a process that runs a way once, less that of one that runs its forward pass once.

Peers that are not installed are skipped; run the script with an interpreter that has them to get
their rows. `--save docs/benchmarks/capture.jsonl` keeps what was measured there.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import torch

from tests.benchmarks.record import fresh, growth, interleaved, ratios, row, save, spread
from tests.benchmarks.ways import WAYS, gpt2

TIME, MEMORY = (128, 512, 1024, 2048, 4096), (1024, 4096, 8192)
THREADS = 2
PEER_LIMIT = 600.0
"""Seconds after which a peer gets no further pair; three it always gets."""
OURS = ("floor", "heads", "trace")


def times(name: str, tokens: int, pairs: int) -> dict[str, list[float]]:
    """Seconds of a way and of its base.

    Raises ImportError without its package and MemoryError where its matrices would not fit.
    """
    run, base = WAYS[name].make(tokens)
    require_room(name, tokens)
    limit = float("inf") if name in OURS else PEER_LIMIT
    return interleaved(run, base, pairs, limit)


def peaks(name: str, tokens: int, repeats: int) -> dict[str, list[float]]:
    """Peak bytes of processes that run a way, and of others that run its base."""
    require_room(name, tokens)
    numbers: dict[str, list[float]] = {"base": [], "run": []}
    for _ in range(repeats):
        for side, found in numbers.items():
            arguments = ("one", "--ways", name, "--tokens", tokens, "--side", side)
            found.append(fresh("capture", *arguments)["peak"])
    return numbers


def require_room(name: str, tokens: int) -> None:
    """Raises MemoryError where a way holds more than this machine has left."""
    need = WAYS[name].held * tokens**2 * 4
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    if need > 0.9 * free:
        raise MemoryError(f"it would hold {need / 1e9:.0f} GB; {free / 1e9:.0f} GB are free")


def one(name: str, tokens: int, side: str) -> None:
    """Run a way or its base once in this process, and print the peak in bytes.

    The peak begins anew after the model is built, because building takes its weights twice.
    """
    run, base = WAYS[name].make(tokens)
    Path("/proc/self/clear_refs").write_text("5")
    run() if side == "run" else base()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"peak": int(status["VmHWM"].split()[0]) * 1024}))


def told(part: str, numbers: dict[str, list[float]]) -> str:
    """One line of numbers."""
    run, base = min(numbers["run"]), min(numbers["base"])
    if part == "memory":
        grown = [each / 1e6 for each in growth(numbers)]
        return f"{spread(grown, 0)} MB more; the forward pass alone {base / 1e6:,.0f} MB"
    return f"{spread(ratios(numbers))}, {len(numbers['run'])} pairs ({run:.2f} s, {base:.2f} s)"


def main() -> None:
    """Print, and keep, one line a way and length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["time", "memory", "one"])
    parser.add_argument("--tokens", type=int, nargs="+")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=["run", "base"], default="run")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    if options.part == "one":
        one(options.ways[0], options.tokens[0], options.side)
        return
    measure = (
        partial(times, pairs=options.pairs)
        if options.part == "time"
        else partial(peaks, repeats=options.repeats)
    )
    for tokens in options.tokens or (TIME if options.part == "time" else MEMORY):
        for name in options.ways:
            of = {"part": options.part, "way": name, "base": WAYS[name].base, "tokens": tokens}
            head = f"{tokens:6} {name:20} / {WAYS[name].base:16}"
            try:
                numbers = measure(name, tokens)
            except (ImportError, MemoryError, RuntimeError) as error:
                print(f"{head} skipped: {str(error).splitlines()[0][:90]}", flush=True)
                continue
            print(f"{head} {told(options.part, numbers)}", flush=True)
            package = WAYS[name].package
            save(options.save, [row(of, numbers, *([package] if package else []))])
        gpt2.cache_clear()


if __name__ == "__main__":
    main()
