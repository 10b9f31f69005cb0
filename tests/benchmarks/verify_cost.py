"""What does a verdict cost, beside one plain forward of the same model?

    python -m tests.benchmarks.verify_cost [MODEL …] [--runs 3]
        [--save docs/benchmarks/verify_cost.jsonl]

For each model (default: fable) prints forwards, tokens and seconds of `verify-mask`, of its quick
form and with `--prove`, on sdpa, and the seconds as a multiple of one plain forward of the same
tokens, from interleaved runs: minimum / median / maximum.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from attnscope.capture.runs import forward
from attnscope.load import LoadedModel, LoadOptions, load
from attnscope.report import Report
from attnscope.verification import VerifyOptions, verify_model
from tests.benchmarks.record import ratios, row, save, seconds, spread

FORMS = {
    "quick": VerifyOptions(quick=True),
    "full": VerifyOptions(),
    "prove": VerifyOptions(prove=True),
}


def forward_seconds(loaded: LoadedModel, tokens: int) -> float:
    """The fastest of ten plain forwards."""
    ids = [number % 5 for number in range(tokens)]
    return min(seconds(lambda: forward(loaded.model, ids)) for _ in range(10))


def measure(name: str, runs: int, path: Path | None) -> None:
    """Print, and keep, one line a form."""
    loaded = load(LoadOptions(model=name, device="cpu"))
    numbers: dict[str, dict[str, list[float]]] = {form: {"base": [], "run": []} for form in FORMS}
    reports: dict[str, Report] = {}
    for _ in range(runs):
        for form, options in FORMS.items():
            report = verify_model(loaded, replace(options, backends=("sdpa",)))
            reports[form] = report
            numbers[form]["run"].append(report.seconds)
            numbers[form]["base"].append(forward_seconds(loaded, len(report.labels)))
    for form, report in reports.items():
        print(
            f"{name} {form}: {report.outcome}, {report.forwards:,} forwards,"
            f" {report.tokens:,} tokens, {spread(numbers[form]['run'], 1)} s;"
            f" {spread(ratios(numbers[form]), 0)} plain forwards"
        )
        counted = {"forwards": [report.forwards], "pushed": [report.tokens]}
        of = {"model": name, "form": form, "tokens": len(report.labels)}
        save(path, [row(of, numbers[form] | counted)])


def main() -> None:
    """Measure each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["fable"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    for model in options.models:
        measure(model, options.runs, options.save)


if __name__ == "__main__":
    main()
