"""Which kernels of torch a model of somebody's own calls: told by running it."""

from __future__ import annotations

from torch import Tensor, nn

from attnscope.capture import capture
from attnscope.capture.fused import FUSED
from attnscope.capture.kernels import own_flex_calls
from attnscope.capture.received import Received
from attnscope.experiments.subject import Subject
from attnscope.load.stand_in import KERNELS, StandIn
from attnscope.records import AttentionCall

PICKED = FUSED | {"scaled_dot_product_attention"}
"""Kernels that torch picks among several."""


def look_at_kernels(subject: Subject, ids: Tensor) -> None:
    """Note on the stand-in what has to be known before it is watched; others are left alone.

    `ids` (1, token). Raises CaptureError when the model does not run.
    """
    model = subject.model
    if not isinstance(model, StandIn):
        return
    flex: list[Received] = []
    with own_flex_calls(flex.append):
        subject.run("plain", ids, ids[:, :0])
    model.calls_flex = bool(flex)
    called: set[str] = set()

    def note(call: AttentionCall) -> None:
        called.add(call.kernel)

    with capture(model, note):
        subject.run("plain", ids, ids[:, :0])
    fused = any(isinstance(one, nn.MultiheadAttention) for one in model.modules())
    model.kernels = KERNELS if fused or called & PICKED else KERNELS[:1]
