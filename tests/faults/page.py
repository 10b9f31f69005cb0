"""The catalogue as docs/faults.md: `python -m tests.faults.page`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import (
    FalconH1Config,
    Gemma2Config,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MixtralConfig,
    PreTrainedConfig,
    Qwen3Config,
    Qwen3NextConfig,
)

from attnscope.checks import find
from attnscope.errors import CaptureError
from attnscope.experiments.switches import attention
from attnscope.faults import FAULTS, Fault
from attnscope.load.quiet import quiet
from attnscope.shrink import build, shrink

ARCHITECTURES: Mapping[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(num_key_value_heads=8),
    "qwen3": lambda: Qwen3Config(num_key_value_heads=8),
    "gpt2": GPT2Config,
    "mistral": MistralConfig,
    "gemma2": Gemma2Config,
    "gpt_oss": GptOssConfig,
    "mixtral": MixtralConfig,
    "falcon_h1": FalconH1Config,
    "qwen3_next": Qwen3NextConfig,
    "mamba": MambaConfig,
}
"""The architectures of the matrix, built small: dense with grouped heads, learned positions,
windows in all or some layers, softcap, sinks, experts, hybrids, and a state space alone."""

BACKENDS = ("eager", "sdpa", "flex_attention")

INTRODUCTION = """\
# Planted leaks

A check that has never failed proves nothing. Each of these leaks is planted at run time into small
models of many architectures, on each attention backend that they support; the check named first
must fail and name the module, and the model must be clean again afterwards
(`tests/faults/test_matrix.py`). `attnscope verify-mask --prove` plants those marked with ✓ into
your own model once it has passed.

This page is generated from the catalogue: `python -m tests.faults.page > docs/faults.md`.

"""


def faults_markdown() -> str:
    """The page."""
    where = _architectures()
    head = "| Leak | What is planted | Found by | `--prove` | Where |\n|---|---|---|---|---|\n"
    rows = [_row(fault, where[fault.key]) for fault in FAULTS]
    legend = "\n".join(f"- [{code} {find(code).name}](checks.md)" for code in _first_codes())
    count = f"{len(FAULTS)} leaks, found by {len(_first_codes())} checks:\n\n{legend}\n"
    return f"{INTRODUCTION}{head}{''.join(rows)}\n{count}"


def small(name: str) -> Any:
    """A small model of one architecture of the matrix."""
    return build(shrink(ARCHITECTURES[name]()))


def _row(fault: Fault, where: list[str]) -> str:
    first, *others = fault.caught_by
    more = f", {', '.join(others)}" if others else ""
    proved = "✓" if fault.prove else ""
    return f"| {fault.name} | {fault.words} | **{first}**{more} | {proved} | {_joined(where)} |\n"


def _joined(where: list[str]) -> str:
    every = len(where) == len(ARCHITECTURES)
    return "all" if every else ", ".join(where)


def _first_codes() -> list[str]:
    return sorted({fault.caught_by[0] for fault in FAULTS})


def _architectures() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {fault.key: [] for fault in FAULTS}
    for name in ARCHITECTURES:
        with quiet(bars=False):
            model = small(name)
            fits = {fault.key for backend in BACKENDS for fault in _that_apply(model, backend)}
        for fault in FAULTS:
            if fault.key in fits:
                found[fault.key].append(name)
    return found


def _that_apply(model: Any, backend: str) -> list[Fault]:
    try:
        with attention(model, backend):
            return [fault for fault in FAULTS if fault.applies(model)]
    except CaptureError:
        return []


if __name__ == "__main__":
    import sys

    sys.stdout.write(faults_markdown())
