"""The Triton kernels of `triton_rows`. It imports triton: import it only where that is installed.

Scores are in units of log 2, so that a weight is one exp2. A tile of one side is held, and tiles of
the other side stream past it in three parts: edge, plain, edge. In a plain part every cell is open
(and along the rows every key is earlier), so nothing there needs a mask.

`sums`, of shape (plane, head, row), holds lse, score, distance, duplicate, induction, future, the
two probes, first, and four planes of `near`.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl

_CLOSED = tl.constexpr(-1.0e30)
_FLOOR = tl.constexpr(-1.0e29)
"""Running maxima start here, above closed scores, so that exp2 makes 0 of those from the start."""


@triton.jit
@no_type_check
def _tile(
    matrix, start, count, stride,
    WIDTH: tl.constexpr, WIDE: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Rows from `start` of a (row, width) matrix as (SIZE, WIDE), zeros where there is none."""
    row, column = start + tl.arange(0, SIZE), tl.arange(0, WIDE)
    inside = ((row >= 0) & (row < count))[:, None] & (column < WIDTH)[None, :]
    at = matrix + row.to(tl.int64)[:, None] * stride + column[None, :]
    return tl.load(at, mask=inside, other=0.0)


@triton.jit
@no_type_check
def _capped(score, scale, cap, CAPPED: tl.constexpr):
    """Cap * tanh(scale * score), or scale * score where there is no cap."""
    score = score * scale
    if CAPPED:
        size = tl.abs(score)
        gone = tl.exp2(size * -2.8853900817779268)  # exp(-2 size)
        square = score * score
        series = 1 + square * (-1 / 3 + square * (2 / 15 - square * (17 / 315)))
        small = score * series  # (1 - gone) has lost its digits there
        tanh = (1 - gone) / (1 + gone)
        score = cap * tl.where(size < 0.15, small, tl.where(score < 0, -tanh, tanh))
    return score


@triton.jit
@no_type_check
def _parts(first, last, real, behind, keys, STREAMED: tl.constexpr):
    """Where the keys of a tile of rows begin, are plain, are plain no longer, and end.

    All but the end are multiples of STREAMED. Keys before `behind` are earlier than all its rows.
    """
    stop = tl.max(tl.where(first < last, last, 0), 0)
    begin = tl.min(tl.where(first < last, first, stop), 0) // STREAMED * STREAMED
    plain_stop = tl.minimum(tl.min(tl.where(real, last, keys), 0), tl.minimum(behind, stop))
    plain_stop = tl.maximum(begin, plain_stop // STREAMED * STREAMED)
    plain = tl.cdiv(tl.max(first, 0), STREAMED) * STREAMED
    return begin, tl.maximum(begin, tl.minimum(plain, plain_stop)), plain_stop, stop


@triton.jit
@no_type_check
def _looks(weight, at, place, own, ids, before, PLAIN: tl.constexpr, STREAMED: tl.constexpr):
    """Of a tile's weights: the sum, by distance, on the row's own token, on what follows it."""
    column = tl.arange(0, STREAMED)
    mass = tl.sum(weight, 1)
    if PLAIN:  # only positive terms, so that nothing cancels
        away = tl.sum(weight * (STREAMED - 1 - column).to(tl.float32)[None, :], 1)
        away += mass * (place - at - (STREAMED - 1)).to(tl.float32)
    else:
        away = (place - at)[:, None] - column[None, :]
        nearer = weight * away.to(tl.float32)
        weight = tl.where(away > 0, weight, 0.0)
        away = tl.sum(nearer, 1)
    here = tl.load(ids + at + column)[None, :] == own[:, None]
    duplicate = tl.sum(tl.where(here, weight, 0.0), 1)
    here = tl.load(before + at + column)[None, :] == own[:, None]
    return mass, away, duplicate, tl.sum(tl.where(here, weight, 0.0), 1)


@triton.jit
@no_type_check
def _probed(weight, numbers, at, keys, STREAMED: tl.constexpr):
    """A tile's weights times one number a key, summed."""
    index = at + tl.arange(0, STREAMED)
    return tl.sum(weight * tl.load(numbers + index, mask=index < keys, other=0.0)[None, :], 1)


@triton.jit
@no_type_check
def _masked(cells, at, place, first, last, STREAMED: tl.constexpr):
    """A tile's scores with closed ones out of the way, and each row's largest of a later key."""
    index = (at + tl.arange(0, STREAMED))[None, :]
    seen = (index >= first[:, None]) & (index < last[:, None])
    cells = tl.where(seen, cells, _CLOSED)
    return cells, tl.max(tl.where(index > place[:, None], cells, _CLOSED), 1)


@triton.jit
@no_type_check
def _store(at, plane, real, top, ahead, mass, score, distance, duplicate, induction, one, two):
    """What a row's sums come to, into planes 0..5 and those of the probes after them."""
    blind = mass == 0  # a row of NaN is not blind
    mass = tl.where(blind, 1.0, mass)
    lse = top + tl.log2(mass)
    tl.store(at, tl.where(blind, float("-inf"), lse), mask=real)
    tl.store(at + plane, tl.where(blind, 0.0, top + score / mass), mask=real)
    tl.store(at + 2 * plane, distance / mass, mask=real)
    tl.store(at + 3 * plane, duplicate / mass, mask=real)
    tl.store(at + 4 * plane, induction / mass, mask=real)
    tl.store(at + 5 * plane, tl.where(blind, 0.0, tl.exp2(ahead - lse)), mask=real)
    tl.store(at + 6 * plane, one / mass, mask=real)
    tl.store(at + 7 * plane, two / mass, mask=real)


@triton.jit
@no_type_check
def sums_kernel(
    query, key, low, high, ids, before, probes, sums,
    scale, cap, query_head, query_row, key_head, key_row, rows, keys, group,
    WIDTH: tl.constexpr, WIDE: tl.constexpr, HELD: tl.constexpr, STREAMED: tl.constexpr,
    CAPPED: tl.constexpr,
):  # fmt: skip
    """One tile of rows of one head. `ids`, and those `before` them, fill whole tiles of keys."""
    # the last rows see most keys: begin with them
    start, head = (tl.num_programs(0) - 1 - tl.program_id(0)) * HELD, tl.program_id(1)
    key += (head // group).to(tl.int64) * key_head
    row = start + tl.arange(0, HELD)
    real, place = row < rows, row + (keys - rows)
    first, last = tl.load(low + row, mask=real, other=0), tl.load(high + row, mask=real, other=0)
    own = tl.load(ids + place, mask=real & (place >= 0), other=0)
    query += head.to(tl.int64) * query_head
    held = _tile(query, start, rows, query_row, WIDTH, WIDE, HELD)
    begin, plain, edge, stop = _parts(first, last, real, start + keys - rows, keys, STREAMED)
    top, ahead = tl.full((HELD,), _FLOOR, tl.float32), tl.full((HELD,), _CLOSED, tl.float32)
    score = tl.zeros((HELD,), tl.float32)
    mass, distance, duplicate, induction, one, two = score, score, score, score, score, score
    probes += (head // group).to(tl.int64) * keys
    other = probes + (tl.num_programs(1) // group).to(tl.int64) * keys
    for part in tl.static_range(3):
        since = begin if part == 0 else (plain if part == 1 else edge)
        until = plain if part == 0 else (edge if part == 1 else stop)
        for at in range(since, until, STREAMED):
            tile = _tile(key, at, keys, key_row, WIDTH, WIDE, STREAMED)
            cells = tl.dot(held, tl.trans(tile), input_precision="ieee")
            cells = _capped(cells, scale, cap, CAPPED)
            if part != 1:
                cells, later = _masked(cells, at, place, first, last, STREAMED)
                ahead = tl.maximum(ahead, later)
            higher = tl.maximum(top, tl.max(cells, 1))
            weight, shrink = tl.exp2(cells - higher[:, None]), tl.exp2(top - higher)
            score = (score + (top - higher) * mass) * shrink
            score += tl.sum(weight * (cells - higher[:, None]), 1)
            add, far, same, then = _looks(weight, at, place, own, ids, before, part == 1, STREAMED)
            mass, distance = mass * shrink + add, distance * shrink + far
            duplicate, induction = duplicate * shrink + same, induction * shrink + then
            one = one * shrink + _probed(weight, probes, at, keys, STREAMED)
            two = two * shrink + _probed(weight, other, at, keys, STREAMED)
            top = higher
    plane = tl.num_programs(1).to(tl.int64) * rows
    sums += head.to(tl.int64) * rows + row
    _store(sums, plane, real, top, ahead, mass, score, distance, duplicate, induction, one, two)


@triton.jit
@no_type_check
def places_kernel(
    query, key, low, high, sums,
    scale, cap, query_head, query_row, key_head, key_row, rows, keys, group,
    WIDTH: tl.constexpr, WIDE: tl.constexpr, HELD: tl.constexpr, CAPPED: tl.constexpr,
):  # fmt: skip
    """The weights of key 0 and of the four nearest keys, into planes 8..12."""
    start, head = tl.program_id(0) * HELD, tl.program_id(1)
    query += head.to(tl.int64) * query_head
    key += (head // group).to(tl.int64) * key_head
    row = start + tl.arange(0, HELD)
    real = row < rows
    first = tl.load(low + row, mask=real, other=0)
    last = tl.load(high + row, mask=real, other=0)
    held = _tile(query, start, rows, query_row, WIDTH, WIDE, HELD).to(tl.float32)
    plane = tl.num_programs(1).to(tl.int64) * rows
    sums += head.to(tl.int64) * rows + row
    lse = tl.load(sums, mask=real, other=0.0)
    for part in tl.static_range(5):
        if part == 0:
            index = row * 0
            column = tl.arange(0, WIDE)
            tile = tl.load(key + column, mask=column < WIDTH, other=0.0).to(tl.float32)[None, :]
        else:
            index = row + (keys - rows - part + 1)
            tile = _tile(key, start + keys - rows - part + 1, keys, key_row, WIDTH, WIDE, HELD)
        score = _capped(tl.sum(held * tile.to(tl.float32), 1), scale, cap, CAPPED) - lse
        score = tl.where(score > 0, 0.0, score)  # rounding
        seen = (index >= first) & (index < last)
        tl.store(sums + (8 + part) * plane, tl.where(seen, tl.exp2(score), 0.0), mask=real)


@triton.jit
@no_type_check
def received_kernel(
    query, key, low, high, total, bounds, received,
    scale, cap, query_head, query_row, key_head, key_row, rows, keys, group,
    WIDTH: tl.constexpr, WIDE: tl.constexpr, HELD: tl.constexpr, STREAMED: tl.constexpr,
    CAPPED: tl.constexpr,
):  # fmt: skip
    """One tile of keys of one head: the sum over rows of exp2(score - total).

    bounds, of shape (4, tiles): where the rows that see each tile begin, are plain, are plain no
    longer, and end.
    """
    start, head = tl.program_id(0) * HELD, tl.program_id(1)
    query += head.to(tl.int64) * query_head
    key += (head // group).to(tl.int64) * key_head
    total += head.to(tl.int64) * rows
    index = start + tl.arange(0, HELD)
    held = _tile(key, start, keys, key_row, WIDTH, WIDE, HELD)
    bounds, tiles = bounds + tl.program_id(0), tl.num_programs(0)
    sums = tl.zeros((HELD,), tl.float32)
    for part in tl.static_range(3):
        since, until = tl.load(bounds + part * tiles), tl.load(bounds + (part + 1) * tiles)
        for at in range(since, until, STREAMED):
            row = at + tl.arange(0, STREAMED)
            tile = _tile(query, at, rows, query_row, WIDTH, WIDE, STREAMED)
            cells = tl.dot(held, tl.trans(tile), input_precision="ieee")
            cells = _capped(cells, scale, cap, CAPPED)
            if part != 1:
                first = tl.load(low + row, mask=row < rows, other=0)
                last = tl.load(high + row, mask=row < rows, other=0)
                seen = (index[:, None] >= first[None, :]) & (index[:, None] < last[None, :])
                cells = tl.where(seen, cells, _CLOSED)
            above = tl.load(total + row, mask=row < rows, other=float("inf"))
            sums += tl.sum(tl.exp2(cells - above[None, :]), 1)
    received += head.to(tl.int64) * keys
    tl.store(received + index, sums, mask=index < keys)
