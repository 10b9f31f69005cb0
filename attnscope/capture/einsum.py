"""Attention products that are written as einsum."""

from __future__ import annotations

from torch import Tensor


def pairwise(equation: str, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor] | None:
    """(query, key) as (…, position, d) of an einsum that makes scores (…, query, key).

    None when the equation is no plain product of that kind.
    """
    parts = _parts(equation, left, right)
    if parts is None:
        return None
    first, second, out = parts
    batch, row, column = out[:-2], out[-2], out[-1]
    if row in second or column in first or row not in first or column not in second:
        first, second, left, right = second, first, right, left
    summed = (set(first) & set(second)) - set(out)
    if len(summed) != 1 or row not in first or column not in second:
        return None
    inner = summed.pop()
    query, key = (*batch, row, inner), (*batch, column, inner)
    if set(query) != set(first) or set(key) != set(second):
        return None
    return _permuted(left, first, query), _permuted(right, second, key)


def weighted(
    equation: str, weights: Tensor, value: Tensor, output: Tensor
) -> tuple[Tensor, Tensor] | None:
    """(value, output) as (…, position, d_v) of an einsum of weights (…, query, key) and values."""
    parts = _parts(equation, weights, value)
    if parts is None:
        return None
    first, second, out = parts
    batch, row, column = first[:-2], first[-2], first[-1]
    width = set(second) - set(first)
    if len(width) != 1 or column not in second or column in out:
        return None
    inner = width.pop()
    values, outputs = (*batch, column, inner), (*batch, row, inner)
    if set(values) != set(second) or set(outputs) != set(out):
        return None
    return _permuted(value, second, values), _permuted(output, out, outputs)


def _parts(equation: str, left: Tensor, right: Tensor) -> tuple[str, str, str] | None:
    operands, arrow, out = equation.replace(" ", "").partition("->")
    names = operands.split(",")
    plain = arrow and len(names) == 2 and "." not in equation and len(out) >= 2
    if not plain or len(names[0]) != left.ndim or len(names[1]) != right.ndim:
        return None
    return names[0], names[1], out


def _permuted(tensor: Tensor, names: str, order: tuple[str, ...]) -> Tensor:
    return tensor.permute(*(names.index(name) for name in order))
