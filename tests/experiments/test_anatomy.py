"""What mixes tokens is told from what really moves, and named after its class."""

from __future__ import annotations

import pytest

from attnscope.experiments.anatomy import anatomy
from tests.census.registered import subject

TOKENS = 21


@pytest.mark.parametrize(
    ("name", "mixers", "seam"),
    [
        ("gpt2", ("attention",), ("interface",)),
        ("bloom", ("attention",), ("torch calls",)),
        ("jamba", ("attention", "state space", "experts"), ("interface",)),
        ("lfm2", ("attention", "convolution"), ("interface",)),
        ("qwen3_next", ("attention", "linear", "experts"), ("interface",)),
        ("bamba", ("attention", "state space"), ("interface",)),
        ("rwkv", ("linear",), ()),
        ("mamba", ("state space",), ()),
        ("xlnet", ("attention",), ("torch calls",)),
        ("inkling2_text", ("attention", "convolution", "experts"), ("interface",)),
        ("cpmant", ("attention",), ()),
    ],
)
def test_mixers(name: str, mixers: tuple[str, ...], seam: tuple[str, ...]) -> None:
    one = subject(name, "eager")
    found = anatomy(one, one.draw(TOKENS, 0), 0)
    assert found.mixers == mixers
    assert found.seam == seam
