"""Which kernels of torch a model of somebody's own calls: told by running it."""

from __future__ import annotations

from contextlib import suppress

from torch import Tensor, nn

from attnscope.capture import capture
from attnscope.capture.fused import FUSED
from attnscope.capture.kernels import own_flex_calls
from attnscope.capture.received import Received
from attnscope.errors import CaptureError
from attnscope.experiments.lengths import clearer
from attnscope.experiments.subject import Subject
from attnscope.load.stand_in import KERNELS, StandIn
from attnscope.records import AttentionCall

PICKED = FUSED | {"scaled_dot_product_attention"}
"""Kernels that torch picks among several."""


HOOKS = (("use_cache", "cache", "prefill"), ("use_cache", "one_token", "step"),
         ("attention_mask", "ones", "padded"))  # fmt: skip
"""Argument that a hook answers, a condition that calls it, and its name."""


def settle(subject: Subject, ids: Tensor, *, shorten: bool) -> Tensor:
    """The ids to ask about, shape (1, token), once a model of unknown making has run on them.

    With `shorten`, a few less where their number is also that of something else in the model, if
    it runs on fewer. Raises CaptureError when it does not run, or one of its hooks does not.
    """
    if not subject.own:
        return ids
    fewer = clearer(subject.model, ids) if shorten else ids
    if fewer.shape != ids.shape and _runs(subject, fewer):
        ids = fewer
    else:
        _run(subject, ids, shorten=shorten)
    for argument, key, name in HOOKS:
        if argument in subject.takes:
            _try_hook(subject, ids, key, name)
    return ids


def _runs(subject: Subject, ids: Tensor) -> bool:
    with suppress(CaptureError):
        look_at_kernels(subject, ids)
        return True
    return False


def _run(subject: Subject, ids: Tensor, *, shorten: bool) -> None:
    try:
        look_at_kernels(subject, ids)
    except CaptureError as error:
        hint = f"If {ids.shape[1]} positions are too many for it, say how many with length=."
        raise CaptureError(error.message, error.hint or hint * shorten) from error


def _try_hook(subject: Subject, ids: Tensor, key: str, name: str) -> None:
    """A hook that never runs must not leave a verdict that looks whole."""
    try:
        subject.run(key, ids, ids[:, :0])
    except CaptureError as error:
        words = f"The hook {name} fails: {error.message}"
        raise CaptureError(words if name not in error.message else error.message, error.hint) from (
            error
        )


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
