"""Spies on the kernels that no torch function shows: FlexAttention and FlashAttention.

transformers calls both through one module-level function each; that function is replaced while a
capture runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import flex_attention as torch_flex
from transformers.integrations import flash_attention, flex_attention

from attnscope.capture.received import Received, mask_words
from attnscope.masks import Mask, blocks, causal, everything, padding, sliding

_FLEX = (torch_flex.__file__, "flex_attention")
"""File and name of torch's function, which its compiled form keeps."""

Report = Callable[[Received], None]
Inside = Callable[[], AbstractContextManager[None]]
"""Entered while a kernel runs: torch calls that it makes itself are its own business."""


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute; on the way out put back what was there, inherited or its own."""
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def flex_calls(report: Report, inside: Inside) -> Iterator[None]:
    """Report each FlexAttention call that transformers makes, as its kernel received it."""
    name = "compile_friendly_flex_attention"
    kernel = getattr(flex_attention, name)

    def spy(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
        with inside():
            result = kernel(query, key, value, *args, **kwargs)
        report(_from_flex(result, query, key, value, kwargs))
        return result

    with replaced(flex_attention, name, spy):
        yield


@contextmanager
def own_flex_calls(report: Report) -> Iterator[None]:
    """Report each call of torch's own `flex_attention`, wherever a model took it from.

    A model holds it under a name of its own, and compiled as a rule; Python's profiler sees its
    frame begin and end all the same. A profiler in Python that runs already is told everything as
    before; beside cProfile nothing is reported.
    """
    before: Any = sys.getprofile()
    if before is not None and not callable(before):  # cProfile's own, which cannot be told anything
        yield
        return

    def profile(frame: FrameType, event: Any, result: Any) -> None:
        if before is not None:
            before(frame, event, result)
        code = frame.f_code
        if event == "return" and (code.co_filename, code.co_name) == _FLEX and result is not None:
            given = frame.f_locals
            with torch._C.DisableTorchFunction():
                report(_from_flex(result, given["query"], given["key"], given["value"], given))

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


@contextmanager
def flash_calls(report: Report, inside: Inside) -> Iterator[None]:
    """Report each FlashAttention call that transformers makes, as its kernel received it."""
    name = "_flash_attention_forward"
    kernel = getattr(flash_attention, name)

    def spy(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
        with inside():
            result = kernel(query, key, value, *args, **kwargs)
        report(_from_flash(result, query, key, value, args, kwargs))
        return result

    with replaced(flash_attention, name, spy):
        yield


def _from_flex(
    result: Any, query: Tensor, key: Tensor, value: Tensor, kwargs: dict[str, Any]
) -> Received:
    block_mask = kwargs.get("block_mask")
    scale = kwargs.get("scale")
    output = result[0] if isinstance(result, tuple) else result
    return Received(
        kernel="flex_attention",
        query=query.detach(),
        key=key.detach(),
        value=value.detach(),
        mask=everything() if block_mask is None else blocks(block_mask),
        mask_form=mask_words(block_mask, is_causal=False),
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        score_mod=kwargs.get("score_mod"),
        output=output.detach(),
    )


def _from_flash(
    result: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Received:
    """Flash kernels take (batch, position, head, d), and a 2-D padding mask at most."""
    real = args[0] if args else kwargs.get("attention_mask")
    scale, sinks = kwargs.get("softmax_scale"), kwargs.get("s_aux")
    is_causal = bool(kwargs.get("is_causal", True))
    mask = _flash_mask(kwargs, is_causal, key.shape[1] - query.shape[1])
    if real is not None:
        mask &= padding(real[:, -key.shape[1] :].bool())
    words = [mask_words(None, is_causal)]
    words += [f"window {kwargs['sliding_window']}"] if kwargs.get("sliding_window") else []
    words += ["padding"] if real is not None else []
    return Received(
        kernel="flash_attention",
        query=query.detach().transpose(1, 2),
        key=key.detach().transpose(1, 2),
        value=value.detach().transpose(1, 2),
        mask=mask,
        mask_form=", ".join(words),
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        softcap=kwargs.get("softcap"),
        sinks=None if sinks is None else sinks.detach(),
        output=result.detach().transpose(1, 2),
    )


def _flash_mask(kwargs: dict[str, Any], is_causal: bool, offset: int) -> Mask:
    if not is_causal:
        return everything()
    offset = 0 if kwargs.get("use_top_left_mask") else offset
    window = kwargs.get("sliding_window")
    return causal(offset) & sliding(window, offset) if window else causal(offset)
