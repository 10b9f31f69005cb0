"""FlexAttention, called by a model of one's own."""

from __future__ import annotations

import cProfile
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import attnscope
from attnscope.capture.kernels import own_flex_calls
from attnscope.capture.received import Received

ROOT = Path(__file__).parents[2]


class Flex(nn.Module):
    """One block of attention, whose queries may see some keys too many."""

    def __init__(self, ahead: int = 0, kernel: Callable[..., Any] = flex_attention) -> None:
        super().__init__()
        self.embed, self.qkv = nn.Embedding(50, 32), nn.Linear(32, 96)
        self.ahead, self.kernel = ahead, kernel

    def forward(self, ids: Tensor) -> Tensor:
        batch, time = ids.shape
        parts = self.qkv(self.embed(ids)).view(batch, time, 3, 2, 16).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)

        def seen(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            return q + self.ahead >= k

        mask = create_block_mask(seen, None, None, time, time, device="cpu")
        output: Tensor = self.kernel(query, key, value, block_mask=mask)
        return output.transpose(1, 2).reshape(batch, time, 32)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        yield


def test_the_mask_is_read_where_the_function_is_called() -> None:
    seen: list[Received] = []
    model, ids = Flex(ahead=1), torch.arange(11)[None]
    plain = model(ids)
    with own_flex_calls(seen.append):
        assert torch.equal(model(ids), plain)
    (call,) = seen
    assert call.mask_form == "BlockMask"
    cells = call.mask.rows(0, 11, 11)[0, 0]
    assert torch.equal(cells, torch.ones(11, 11, dtype=torch.bool).tril(1))
    assert call.output.shape == (1, 2, 11, 16)


def test_a_profiler_that_runs_already_goes_on() -> None:
    before = sys.getprofile()
    with own_flex_calls(lambda received: None):
        assert sys.getprofile() is not before
    assert sys.getprofile() is before
    told: list[str] = []
    sys.setprofile(lambda frame, event, result: told.append(frame.f_code.co_name))
    try:
        with own_flex_calls(lambda received: None):
            seeded_once()
    finally:
        sys.setprofile(before)
    assert "seeded_once" in told


def test_cprofile_is_left_alone() -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        before = sys.getprofile()
        with own_flex_calls(lambda received: None):
            seeded_once()
        assert sys.getprofile() is before
    finally:
        profiler.disable()
    assert any("seeded_once" in str(one.code) for one in profiler.getstats())


def seeded_once() -> None:
    torch.manual_seed(0)


@pytest.mark.slow
def test_quick() -> None:
    assert attnscope.verify(Flex(), vocab_size=50, quick=True).outcome == "pass"
    report = attnscope.verify(Flex(ahead=1), vocab_size=50, quick=True)
    codes = {result.code for result, _ in report.findings}
    assert {"ATN101", "ATN201", "ATN301"} <= codes
    assert {finding.module for result, finding in report.findings} == {"Flex"}


COMPILED = """
import attnscope, torch
from tests.own.test_flex import Flex, flex_attention
compiled = torch.compile(flex_attention)
torch.manual_seed(0)
for ahead in (0, 1):
    report = attnscope.verify(Flex(ahead, kernel=compiled), vocab_size=50, quick=True)
    print(report.outcome, *sorted({result.code for result, _ in report.findings}))
"""


@pytest.mark.slow
def test_compiled_by_the_model() -> None:
    """In a process of its own: torch.compile and the type checks of the tests do not mix."""
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["pass", "fail ATN101 ATN201 ATN301"]
