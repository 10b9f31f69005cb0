"""Leaks of released transformers, found again: run with 5.17.0 and with 5.18.0 installed.

    python -m tests.released.known_leaks

Doge sees the future on sdpa (huggingface/transformers issue 48748), RoFormer as a decoder on its
only backend (48745); 5.18.0 repairs both. Exits with 1 where a verdict is not the expected one.
`.ci/run` runs it in an environment for each version.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import transformers
from packaging.version import Version
from transformers import DogeConfig, PreTrainedConfig, RoFormerConfig

from attnscope.api import verify
from attnscope.load import LoadOptions
from attnscope.shrink import build, shrink
from attnscope.verification import VerifyOptions

REPAIRED = Version(transformers.__version__) >= Version("5.18.0")


def cases() -> Iterator[tuple[str, PreTrainedConfig, str, str]]:
    """Name, small config, backend, expected outcome."""
    after = "pass" if REPAIRED else "fail"
    yield "Doge", shrink(DogeConfig()), "sdpa", after
    yield "Doge", shrink(DogeConfig()), "eager", "pass"
    yield "RoFormer, is_decoder=True", shrink(RoFormerConfig(is_decoder=True)), "eager", after


def main() -> int:
    """Judge each case from disk, as a user would."""
    wrong = 0
    for name, config, backend, expected in cases():
        with tempfile.TemporaryDirectory() as directory:
            build(config).save_pretrained(Path(directory))
            report = verify(
                LoadOptions(model=directory, backend=backend, device="cpu"),
                VerifyOptions(backends=(backend,)),
            )
        wrong += report.outcome != expected
        print(f"transformers {transformers.__version__}: {name} on {backend}: {report.outcome}")
        for result, finding in report.findings[:3]:
            print(f"    {result.code} {result.condition}: {finding.message}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
