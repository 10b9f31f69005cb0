"""What does a verdict cost, beside one plain forward of the same model?

    python -m tests.benchmarks.verify_cost [MODEL …]

For each model (default: fable) prints forwards, tokens and seconds of `verify-mask`, of its quick
form and with `--prove`, and the seconds as a multiple of one plain forward of the same tokens, from
interleaved runs: minimum, median, maximum.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace

import torch

from attnscope.load import LoadedModel, load
from attnscope.load.options import LoadOptions
from attnscope.report import Report
from attnscope.verification import VerifyOptions, verify_model

RUNS = 3
FORMS = {
    "quick": VerifyOptions(quick=True),
    "full": VerifyOptions(),
    "prove": VerifyOptions(prove=True),
}


def forward_seconds(loaded: LoadedModel, tokens: int) -> float:
    """The fastest of ten plain forwards."""
    ids = torch.arange(tokens)[None] % 5
    times = []
    with torch.no_grad():
        for _ in range(10):
            started = time.perf_counter()
            loaded.model(ids, use_cache=False)
            times.append(time.perf_counter() - started)
    return min(times)


def measure(name: str) -> None:
    """Print one line a form."""
    loaded = load(LoadOptions(model=name, device="cpu"))
    ratios: dict[str, list[float]] = {form: [] for form in FORMS}
    reports: dict[str, Report] = {}
    for _ in range(RUNS):
        for form, options in FORMS.items():
            report = verify_model(loaded, replace(options, backends=("sdpa",)))
            reports[form] = report
            ratios[form].append(report.seconds / forward_seconds(loaded, len(report.labels)))
    for form, report in reports.items():
        low, middle, high = min(ratios[form]), statistics.median(ratios[form]), max(ratios[form])
        print(
            f"{name} {form}: {report.outcome}, {report.forwards:,} forwards,"
            f" {report.tokens:,} tokens, {report.seconds:.1f} s;"
            f" {low:,.0f} / {middle:,.0f} / {high:,.0f} plain forwards"
        )


if __name__ == "__main__":
    for model in sys.argv[1:] or ["fable"]:
        measure(model)
