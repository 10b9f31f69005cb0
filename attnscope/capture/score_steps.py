"""What each torch function between query · key and softmax means for the scores.

One small function a step; anything not listed makes the scores "not understood", which is
reported as such and never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from attnscope.capture.einsum import pairwise
from attnscope.capture.lineage import Scores, closing_value, number
from attnscope.capture.tracking import Found, tensors_in

PRODUCTS = frozenset({"matmul", "__matmul__", "bmm", "baddbmm", "einsum"})
SOFTMAX = frozenset({"softmax", "special_softmax", "log_softmax"})
BEGINNINGS = PRODUCTS | SOFTMAX
UNCHANGED = frozenset(
    {"to", "type", "type_as", "float", "half", "bfloat16", "double", "contiguous", "clone",
     "detach", "dropout"}
)  # fmt: skip
MOVES = frozenset({"view", "reshape", "unsqueeze", "squeeze", "flatten", "unflatten"})

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]


def product(name: str, args: Args, kwargs: Kwargs, output: Tensor) -> Scores | None:
    """Any product of two tensors may be query · key: it counts once a softmax follows."""
    if name == "baddbmm":
        return _baddbmm(args, kwargs, output)
    if name == "einsum":
        return _einsum(args, output)
    if len(args) < 2 or not all(isinstance(item, Tensor) and item.ndim >= 2 for item in args[:2]):
        return None
    return Scores(
        query=args[0].detach(), key=args[1].detach().transpose(-1, -2), shape=output.shape
    )


def _baddbmm(args: Args, kwargs: Kwargs, output: Tensor) -> Scores:
    """Beta · input + alpha · (batch1 @ batch2): how ALiBi enters Bloom and Falcon."""
    batch1, batch2 = args[1], args[2]
    bare = Scores(
        query=batch1.detach(), key=batch2.detach().transpose(-1, -2), shape=output.shape
    ).times(float(kwargs.get("alpha", 1.0)))
    beta = float(kwargs.get("beta", 1.0))
    return (bare.plus(args[0], beta) or bare) if beta else bare


def _einsum(args: Args, output: Tensor) -> Scores | None:
    parts = list(tensors_in(args))
    if len(parts) != 2 or not isinstance(args[0], str):
        return None
    pair = pairwise(args[0], parts[0].detach(), parts[1].detach())
    return pair and Scores(query=pair[0], key=pair[1], shape=output.shape)


def is_alias(func: Any) -> bool:
    """True for `tensor.data`: what is changed through it, nothing counts."""
    return getattr(getattr(func, "__self__", None), "__name__", "") == "data"


def step(name: str, scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    """The scores after one torch function, or None where its meaning is unknown."""
    if name in UNCHANGED:
        return scores
    if name in MOVES:
        return scores.reshaped(lambda tensor: _again(name, tensor, args, kwargs))
    handler = _STEPS.get(name.rstrip("_") if not name.startswith("__") else name)
    return handler(scores, args, kwargs, known) if handler else None


def _again(name: str, tensor: Tensor, args: Args, kwargs: Kwargs) -> Tensor:
    if name == "view":  # an expanded term may not be viewable
        name = "reshape"
    moved: Tensor = getattr(tensor, name)(*args[1:], **kwargs)
    return moved


def _other(args: Args, known: Found) -> Any:
    """The operand that is not the scores."""
    left, right = args[0], args[1]
    return right if left in known else left


def _multiply(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    other = _other(args, known)
    factor = None if other in known else number(other)
    return None if factor is None else scores.times(factor)


def _divide(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    divisor = None if args[1] in known else number(args[1])
    if not divisor or args[0] not in known or kwargs.get("rounding_mode"):
        return None
    return scores.times(1.0 / divisor)


def _add(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    other = _other(args, known)
    if isinstance(other, Tensor):
        both = other in known
        return None if both else scores.plus(other, float(kwargs.get("alpha", 1.0)))
    return scores if number(other) is not None and scores.sinks is None else None


def _subtract(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    if args[0] not in known or not isinstance(args[1], Tensor):
        return None
    return None if args[1] in known else scores.plus(args[1], -float(kwargs.get("alpha", 1.0)))


def _tanh(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    return scores.capped()


def _where(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    condition, kept, filled = args[0], args[1], args[2]
    if kept in known and closing_value(filled):
        return scores.close(~condition)
    if filled in known and closing_value(kept):
        return scores.close(condition)
    return None


def _masked_fill(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    return scores.close(args[1]) if closing_value(args[2]) else None


def _floor(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    """max(scores, dtype's minimum) and the like change no open cell."""
    return scores if len(args) > 1 and closing_value(_other(args, known)) else None


def _clamp(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    low = args[1] if len(args) > 1 else kwargs.get("min")
    high = args[2] if len(args) > 2 else kwargs.get("max")
    return scores if high is None and closing_value(low) else None


def _concatenate(scores: Scores, args: Args, kwargs: Kwargs, known: Found) -> Scores | None:
    """Sinks arrive as one more column."""
    parts, axis = args[0], args[1] if len(args) > 1 else kwargs.get("dim", 0)
    last = axis in (-1, parts[0].ndim - 1)
    if not last or len(parts) != 2 or parts[0] not in known or parts[1] in known:
        return None
    return scores.with_sinks(parts[1])


_STEPS: dict[str, Callable[[Scores, Args, Kwargs, Any], Scores | None]] = {
    "mul": _multiply, "__mul__": _multiply, "__rmul__": _multiply, "__imul__": _multiply,
    "multiply": _multiply,
    "div": _divide, "__truediv__": _divide, "__itruediv__": _divide, "true_divide": _divide,
    "add": _add, "__add__": _add, "__radd__": _add, "__iadd__": _add,
    "sub": _subtract, "__sub__": _subtract, "__isub__": _subtract,
    "tanh": _tanh,
    "where": _where,
    "masked_fill": _masked_fill,
    "max": _floor, "maximum": _floor,
    "clamp": _clamp, "clamp_min": _clamp,
    "cat": _concatenate, "concat": _concatenate,
}  # fmt: skip
