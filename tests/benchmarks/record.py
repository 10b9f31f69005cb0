"""What benchmarks share: interleaved runs, fresh processes, rows that say what made them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HOME = ROOT / "docs" / "benchmarks"
"""Where the numbers of record are kept, one JSON-lines file a script."""

Row = dict[str, Any]
"""`of`: what was measured; `numbers`: lists, one entry a run; `made`: when, where, with what."""


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def interleaved(
    run: Callable[[], object], base: Callable[[], object], pairs: int, limit: float = float("inf")
) -> dict[str, list[float]]:
    """Seconds of both, base and run in turn, after one of each that is not counted.

    At least three pairs; no more are begun once `limit` seconds have passed.
    """
    base(), run()
    took: dict[str, list[float]] = {"base": [], "run": []}
    started = time.perf_counter()
    for pair in range(pairs):
        if pair >= 3 and time.perf_counter() - started > limit:
            break
        took["base"].append(seconds(base))
        took["run"].append(seconds(run))
    return took


def ratios(numbers: Mapping[str, Sequence[float]]) -> list[float]:
    """Run over base, pair by pair."""
    return [run / base for run, base in zip(numbers["run"], numbers["base"], strict=True)]


def growth(numbers: Mapping[str, Sequence[float]]) -> list[float]:
    """Run less base, pair by pair."""
    return [run - base for run, base in zip(numbers["run"], numbers["base"], strict=True)]


def spread(numbers: Sequence[float], digits: int = 2) -> str:
    """Minimum / median / maximum."""
    three = (min(numbers), statistics.median(numbers), max(numbers))
    # + 0.0: a little less than nothing is not "-0"
    return " / ".join(f"{round(number, digits) + 0.0:,.{digits}f}" for number in three)


def fresh(module: str, *arguments: object) -> dict[str, float]:
    """The JSON object that is the last line of a benchmark in a process of its own.

    Raises RuntimeError, with the last line of its errors, where it fails.
    """
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        raise RuntimeError(f"exit code {result.returncode}: {lines[-1]}")
    numbers: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return numbers


def versions(*packages: str) -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    found = {"Python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def made(*packages: str) -> dict[str, Any]:
    """Date, processor, cores and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": date.today().isoformat(),
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "versions": versions("torch", "transformers", *packages),
    }


def row(of: Mapping[str, Any], numbers: Mapping[str, Any], *packages: str) -> Row:
    """A row made here and now."""
    return {"of": dict(of), "numbers": dict(numbers), "made": made(*packages)}


def save(path: Path | None, rows: Iterable[Row]) -> None:
    """Write rows to a JSON-lines file, in place of those there that measured the same thing."""
    if path is None:
        return
    known = {json.dumps(one["of"]): one for one in read(path)}
    known |= {json.dumps(one["of"]): one for one in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in known.values()))


def read(path: Path) -> list[Row]:
    """The rows of such a file; none where there is no file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]
