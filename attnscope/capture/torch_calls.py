"""Spy on torch's own softmax and scaled_dot_product_attention.

A `TorchFunctionMode` sees every torch function that Python code calls, and changes none. It serves
twice: inside transformers' attention interface it tells what the kernel received, and for models
outside that interface it is the only seam.

Attention that it sees begin and cannot follow to its end is reported as unseen, never passed over.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from attnscope.capture import score_steps
from attnscope.capture.einsum import weighted
from attnscope.capture.fused import FUSED, from_fused
from attnscope.capture.lineage import Scores
from attnscope.capture.received import Received
from attnscope.capture.torch_witness import Weights, from_sdpa, from_weights
from attnscope.capture.tracking import Found, Tracked, operands, tensors_in
from attnscope.masks import PENALTY
from attnscope.records import Unseen

Report = Callable[[Received], None]
ReportUnseen = Callable[[Unseen], None]
Place = Callable[[], str | None]
"""Names the module that is running; None where what happens is somebody else's to judge."""

_KEEPS_WEIGHTS = score_steps.UNCHANGED | score_steps.MOVES | {"__getitem__", "nan_to_num"}
_NOT_LOOKED_INTO = frozenset({"multi_head_attention_forward"})
_LOST = "what became of a softmax is not understood"
_FROM_SCORES = "a number made from scores"
_OURS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class _Step:
    """One torch function that was called, and what was known of its operands."""

    func: Callable[..., Any]
    name: str
    given: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    known: Found


class TorchCalls(TorchFunctionMode):
    """While entered, reports each attention computation of this thread."""

    def __init__(self, report: Report, report_unseen: ReportUnseen, place: Place) -> None:
        super().__init__()
        self._report = report
        self._report_unseen = report_unseen
        self._place = place
        self._known = Tracked()
        self._numbers = itertools.count()
        self._unused: dict[int, Unseen] = {}

    def __exit__(self, *details: Any) -> None:
        """Leave the mode; softmaxes whose weights met no values are told now."""
        super().__exit__(*details)  # type: ignore[no-untyped-call]
        for unseen in self._unused.values():
            self._report_unseen(unseen)
        self._unused.clear()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function as it is, then note what it means for attention."""
        kwargs = kwargs or {}
        given = operands(args, kwargs)
        known = self._known.among(given)
        output = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        received = None
        try:
            if name == "scaled_dot_product_attention":
                received = from_sdpa(output, args, kwargs)
            elif name in FUSED:
                received = from_fused(name, output, args, kwargs)
                if received is None:
                    self._tell(None, f"{name} on nested tensors or two sequences is not read")
            elif name in _NOT_LOOKED_INTO:
                self._tell(None, f"{name} is not looked into")
            elif known or name in score_steps.BEGINNINGS:
                received = self._follow(_Step(func, name, given, kwargs, known), output)
        except _OURS as error:  # the model must not suffer from what we fail to read
            self._tell(None, f"{name} could not be read ({type(error).__name__})")
        if received is not None:
            self._report(received)
        return output

    def _follow(self, step: _Step, output: Any) -> Received | None:
        """Note what a step means; the computation that it completes, if it does."""
        tracked = step.known.first()
        if score_steps.is_alias(step.func) or step.name == "__setitem__":
            self._known.forget(step.given)
        elif not isinstance(output, Tensor):
            return None
        elif step.name in score_steps.PRODUCTS and isinstance(tracked, Weights):
            return self._weigh(tracked, step, output)
        elif step.name in score_steps.PRODUCTS:
            meaning = score_steps.product(step.name, step.given, step.kwargs, output)
            self._known.note(output, meaning)
        elif step.name in score_steps.SOFTMAX:
            self._softmax(tracked, step, output)
        elif isinstance(tracked, Weights):
            self._known.note(output, tracked if step.name in _KEEPS_WEIGHTS else None)
        else:
            self._known.note(output, self._next(tracked, step, output))
        return None

    def _next(self, tracked: Any, step: _Step, output: Tensor) -> Any:
        """What the scores are after one more step; a number made from them is no plain factor."""
        after = None
        if isinstance(tracked, Scores):
            after = score_steps.step(step.name, tracked, step.given, step.kwargs, step.known)
        return _FROM_SCORES if after is None and output.numel() == 1 else after

    def _softmax(self, tracked: Any, step: _Step, output: Tensor) -> None:
        axis = step.kwargs.get("dim", step.given[1] if len(step.given) > 1 else -1)
        plain = step.name == "softmax" and axis in (-1, output.ndim - 1)
        scores = tracked if isinstance(tracked, Scores) and plain else None
        seen = None if scores is not None else step.given[0].detach() > PENALTY
        weights = Weights(next(self._numbers), output.detach(), scores, seen)
        if (module := self._place()) is not None:
            self._unused[weights.number] = _lost(weights, module)
        self._known.note(output, weights if plain else None)

    def _weigh(self, weights: Weights, step: _Step, output: Tensor) -> Received | None:
        """The product of weights and values closes an attention computation."""
        self._unused.pop(weights.number, None)
        received = _completed(weights, step, output)
        if received is None:
            self._tell(tuple(weights.probabilities.shape), _LOST)
        return received

    def _tell(self, shape: tuple[int, ...] | None, reason: str) -> None:
        if (module := self._place()) is not None:
            self._report_unseen(Unseen(module=module, shape=shape, reason=reason))


def _lost(weights: Weights, module: str) -> Unseen:
    return Unseen(module=module, shape=tuple(weights.probabilities.shape), reason=_LOST)


def _completed(weights: Weights, step: _Step, output: Tensor) -> Received | None:
    parts = list(tensors_in(step.given))
    if len(parts) != 2 or step.known.get(id(parts[0])) is not weights:
        return None
    value = parts[1]
    if isinstance(step.given[0], str):
        pair = weighted(step.given[0], parts[0], value, output)
        if pair is None:
            return None
        value, output = pair
    return from_weights(weights, value, output)
