"""How small a leak is still found."""

from __future__ import annotations

import pytest
import torch

from attnscope.experiments.replay import recording, replay
from attnscope.experiments.switches import attention
from attnscope.faults import parts
from attnscope.faults.cell import open_cell
from attnscope.faults.kernels import CELL, WEIGHT
from tests.faults.page import small
from tests.faults.planted import BY_KEY, model, verified

SMALLEST_IN_BFLOAT16 = (1e-5, 3e-2)
"""Range in which the smallest weight lies that moves a bit of the module's output in bfloat16."""


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gpt2"])
def test_a_weight_of_a_millionth_is_found(architecture: str, backend: str) -> None:
    subject = model(architecture)
    assert subject.dtype == torch.float32
    assert WEIGHT == 1e-6
    with attention(subject, backend), BY_KEY["one-cell"].plant(subject) as module:
        report = verified(architecture, backend, "ATN302", quick=True)
    found = {result.code: finding for result, finding in report.findings}
    assert set(found) == {"ATN301", "ATN302"}
    assert {finding.module for finding in found.values()} == {module}
    assert (found["ATN302"].query, found["ATN302"].key) == CELL


def test_the_smallest_weight_in_half_precision(capsys: pytest.CaptureFixture[str]) -> None:
    subject = small("llama").to(torch.bfloat16)
    ids = torch.randint(1, 90, (1, 21), generator=torch.Generator().manual_seed(0))
    name, module = parts.attentions(subject)[-1]
    with recording(subject, 21) as calls, torch.no_grad():
        subject(ids, use_cache=False)
    call = next(call for call in calls if call.name == name)

    def seen(weight: float) -> bool:
        with open_cell(module, head=0, query=CELL[0], key=CELL[1], weight=weight):
            moved = replay(call, (CELL[1],), 0)
        return moved is not None and bool(moved[CELL[0], 0] > 0)

    low, high = 1e-9, 1.0
    assert seen(high)
    assert not seen(low)
    while high / low > 1.1:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if seen(middle) else (middle, high)
    with capsys.disabled():
        print(f"\nbfloat16, llama: a weight of {high:.1e} in one cell is seen")
    assert SMALLEST_IN_BFLOAT16[0] < high < SMALLEST_IN_BFLOAT16[1]
