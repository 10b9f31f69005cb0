"""Spy on torch's own softmax and scaled_dot_product_attention.

A `TorchFunctionMode` sees every torch function that Python code calls, and changes none. It serves
twice: inside transformers' attention interface it tells what the kernel received, and for models
outside that interface it is the only seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from attnscope.capture import score_steps
from attnscope.capture.einsum import weighted
from attnscope.capture.lineage import Scores, four, heads_first
from attnscope.capture.received import Received, mask_words
from attnscope.masks import PENALTY, Mask, additive, causal, dense, everything

_KEEPS_WEIGHTS = score_steps.UNCHANGED | score_steps.MOVES | {"__getitem__"}


@dataclass(frozen=True, slots=True)
class Weights:
    """What is known of a softmax's output."""

    probabilities: Tensor
    """The output itself, before dropout and casts; with sinks, one column more."""
    scores: Scores | None
    """The scores behind it; None when the steps to them are not understood."""
    seen: Tensor | None
    """Where the scores are not understood: the cells of its input that were left open."""


class TorchCalls(TorchFunctionMode):
    """While entered, reports each attention computation of this thread to `report`."""

    def __init__(self, report: Callable[[Received], None]) -> None:
        super().__init__()
        self._report = report
        self._known: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function as it is, then note what it means for attention."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            output = func(*args, **kwargs)
            self._report(_from_sdpa(output, *args, **kwargs))
            return output
        tracked = self._first_tracked(args)
        output = func(*args, **kwargs)
        if tracked is not None or name in score_steps.PRODUCTS or name in score_steps.SOFTMAX:
            self._follow(name, tracked, args, kwargs, output)
        return output

    def _first_tracked(self, args: tuple[Any, ...]) -> Scores | Weights | None:
        for argument in _tensors(args):
            if argument in self._known:
                known: Scores | Weights = self._known[argument]
                return known
        return None

    def _follow(
        self,
        name: str,
        tracked: Scores | Weights | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Any,
    ) -> None:
        if not isinstance(output, Tensor):
            return
        if name in score_steps.PRODUCTS and isinstance(tracked, Weights):
            self._weigh(tracked, args, output)
        elif name in score_steps.PRODUCTS:
            self._note(output, score_steps.product(name, args, kwargs, output))
        elif name in score_steps.SOFTMAX:
            self._note(output, _softmax(tracked, args[0], output))
        elif isinstance(tracked, Weights):
            self._note(output, tracked if name in _KEEPS_WEIGHTS else None)
        elif tracked is not None:
            step = score_steps.step(name, tracked, args, kwargs, output, self._known)
            self._note(output, step)

    def _note(self, output: Tensor, meaning: Scores | Weights | None) -> None:
        if meaning is None:
            self._known.pop(output, None)  # an in-place step that we do not understand
        else:
            self._known[output] = meaning

    def _weigh(self, weights: Weights, args: tuple[Any, ...], output: Tensor) -> None:
        """The product of weights and values closes an attention computation."""
        operands = [argument for argument in args if isinstance(argument, Tensor)]
        if len(operands) != 2 or operands[0] not in self._known:
            return
        value = operands[1]
        if isinstance(args[0], str):
            pair = weighted(args[0], operands[0], value, output)
            if pair is None:
                return
            value, output = pair
        received = _from_weights(weights, value, output)
        if received is not None:
            self._report(received)


def _softmax(tracked: Scores | Weights | None, scores: Tensor, output: Tensor) -> Weights:
    if isinstance(tracked, Scores):
        return Weights(output.detach(), tracked, None)
    return Weights(output.detach(), None, scores.detach() > PENALTY)


def _from_weights(weights: Weights, value: Tensor, output: Tensor) -> Received | None:
    """The computation that a product of weights and values completes, if it is attention."""
    if weights.scores is None:
        return _unexplained(weights, value, output)
    scores = weights.scores
    batch = scores.shape[0] if len(scores.shape) >= 4 else 1
    parts = [heads_first(part, batch) for part in (scores.query, scores.key, value, output)]
    if value.shape[-2] != scores.shape[-1] or any(part is None for part in parts):
        return None
    query, key, value, output = (part.detach() for part in parts if part is not None)
    if query.shape[1] != output.shape[1]:
        return None
    mask, form = scores.mask()
    return Received(
        kernel="softmax",
        query=query,
        key=key,
        value=value,
        mask=mask,
        mask_form=form,
        scale=scores.factor,
        softcap=scores.cap,
        bias=scores.biases(),
        sinks=scores.sinks,
        output=output,
        weights=four(weights.probabilities)[..., : scores.shape[-1]],
    )


def _unexplained(weights: Weights, value: Tensor, output: Tensor) -> Received | None:
    probabilities, seen = four(weights.probabilities), weights.seen
    square = value.ndim >= 3 and value.shape[-2] == probabilities.shape[-1]
    if seen is None or not square or probabilities.shape[-2] < 2:
        return None
    return Received(
        kernel="softmax",
        query=None,
        key=None,
        value=four(value.detach()),
        mask=dense(four(seen)),
        mask_form="cells open in the softmax's input",
        output=four(output.detach()),
        weights=probabilities,
        unexplained="the steps from query · key to the softmax are not understood",
    )


def _from_sdpa(  # noqa: PLR0913, PLR0917 (torch's own signature)
    output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Received:
    """torch.nn.functional.scaled_dot_product_attention, with its own argument names."""
    floats = attn_mask is not None and attn_mask.dtype != torch.bool
    return Received(
        kernel="scaled_dot_product_attention",
        query=four(query.detach()),
        key=four(key.detach()),
        value=four(value.detach()),
        mask=_sdpa_mask(attn_mask, is_causal),
        mask_form=mask_words(attn_mask, is_causal),
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        bias=(four(attn_mask.detach()),) if floats and attn_mask is not None else (),
        output=four(output.detach()),
    )


def _sdpa_mask(attn_mask: Tensor | None, is_causal: bool) -> Mask:
    if attn_mask is None:
        return causal() if is_causal else everything()
    attn_mask = four(attn_mask.detach())
    return dense(attn_mask) if attn_mask.dtype == torch.bool else additive(attn_mask)


def _tensors(args: Iterable[Any]) -> Iterable[Tensor]:
    for argument in args:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, tuple | list):
            yield from (item for item in argument if isinstance(item, Tensor))
