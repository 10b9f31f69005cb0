"""Measuring a long prompt never holds a tensor that grows with tokens squared for all heads."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from attnscope.measure import attention
from attnscope.measure.focus import tally
from attnscope.measure.mask_map import MaskMaps
from attnscope.measure.trace import head_view
from tests.calls import make_call

HEADS, TOKENS = 12, 2048


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.untyped_storage().size():
            self.bytes = max(self.bytes, result.untyped_storage().nbytes())
        return result


def test_blocks_stay_small() -> None:
    part = torch.zeros(1, HEADS, TOKENS, 8)
    call = make_call(part, part, part, output=part)
    all_heads = HEADS * TOKENS * TOKENS * 4
    with Largest() as largest:
        heads = tally(call, torch.arange(TOKENS)).result()
        maps = MaskMaps()
        maps.add(call)
        head_view(call, heads[0], "because")
    assert largest.bytes <= 2 * attention._BLOCK_BYTES
    assert largest.bytes < all_heads / 3
