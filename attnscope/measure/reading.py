"""One attention call against what is declared: its mask cell by cell, its weights row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnscope.declared import Declared
from attnscope.masks import Mask
from attnscope.measure.attention import Rows, exact, row_blocks, weight_rows
from attnscope.measure.match import MatchTally
from attnscope.measure.row_sums import RowSums
from attnscope.records import AttentionCall
from attnscope.records.evidence import CallReading, Cells, Place

SUM_FACTOR = 2.0
"""On the dtype's eps: rounding n weights that sum to 1 moves the sum by at most eps / 2, and
computing them by about as much."""


UNWITNESSED = (
    "the kernel's own call was not seen, and what it was offered does not explain its output"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which part of a call's batch the tokens in question are."""

    row: int
    """Row of the batch."""
    start: int
    """Their first position in it."""
    tokens: int
    """How many they are."""
    length: int
    """Positions of the whole row."""
    beside: str
    """What the other positions hold: `pads`, `documents` or nothing."""

    @property
    def stop(self) -> int:
        """One past their last position."""
        return self.start + self.tokens


def read_call(call: AttentionCall, span: Span, declared: Declared) -> CallReading:
    """Everything that one call says about the tokens in question."""
    place = Place(module=call.module, layer=call.layer)
    if problem := _problem(call, span):
        return CallReading(place=place, problem=problem)
    one = _row(call, span.row)
    weights, cells = _Weights(one, span, declared), _Masks(span, declared)
    for first, last in row_blocks(one):
        start, stop = max(first, span.start), min(last, span.stop)
        if start >= stop:
            continue
        weights.add(weight_rows(one, start, stop))
        cells.add(one.mask.rows(start, stop, one.keys, one.output.device)[0].cpu(), start)
    verified = weights.verified()
    nan_row = _first_row(one.output[0, :, span.start : span.stop].isnan().any(dim=-1))
    multiplied = weights.sums.gap is not None and weights.sums.multiplied
    if not (verified or call.witnessed or nan_row or multiplied):
        return CallReading(place=place, problem=UNWITNESSED)
    return CallReading(
        place=place,
        problem="",
        verified=verified,
        rounding=float(weights.match.rounding.max()),
        future_weight=weights.future,
        future_at=weights.future_at,
        nan_row=nan_row,
        blind_row=cells.blind,
        sum_gap=weights.sums.gap,
        sum_limit=SUM_FACTOR * torch.finfo(one.output.dtype).eps,
        multiplied=multiplied,
        ahead=cells.cells("ahead"),
        beyond=cells.cells("beyond"),
        padding=cells.cells("pads"),
        documents=cells.cells("documents"),
        missing=cells.cells("missing"),
        out_of_reach=declared.narrow and span.tokens <= declared.size,
    )


def _problem(call: AttentionCall, span: Span) -> str:
    if call.unexplained:
        return call.unexplained
    if (call.queries, call.keys) != (span.length, span.length):
        return (
            f"a call of {call.queries} queries over {call.keys} keys,"
            f" not {span.length} over {span.length}"
        )
    if call.output.shape[0] <= span.row:
        return f"a call over {call.output.shape[0]} rows"
    return ""


def _row(call: AttentionCall, row: int) -> AttentionCall:
    """The part of a call that belongs to one row of the batch."""

    def part(tensor: Tensor) -> Tensor:
        return tensor[row : row + 1] if tensor.shape[0] > 1 else tensor

    mask = call.mask
    return replace(
        call,
        query=None if call.query is None else part(call.query),
        key=None if call.key is None else part(call.key),
        value=part(call.value),
        output=part(call.output),
        weights=None if call.weights is None else part(call.weights),
        bias=tuple(part(term) for term in call.bias),
        mask=Mask(
            predicate=lambda b, h, q, k: mask.predicate(torch.full_like(b, row), h, q, k),
            heads=mask.heads,
        ),
    )


def _first_row(wrong: Bool[Tensor, "head row"]) -> tuple[int, int] | None:
    where = wrong.nonzero()
    return (int(where[0, 0]), int(where[0, 1])) if len(where) else None


class _Weights:
    """The weights of the tokens in question, block by block."""

    def __init__(self, call: AttentionCall, span: Span, declared: Declared) -> None:
        self._call, self._span, self._declared = call, span, declared
        self.match = MatchTally(call, exact(call.output[:0]).device)
        self.future = 0.0
        self.future_at: tuple[int, int, int] | None = None
        self.sums = RowSums(call)

    def add(self, rows: Rows) -> None:
        self.match.add(rows)
        self._look_ahead(rows)
        self.sums.add(rows)

    def _look_ahead(self, rows: Rows) -> None:
        first, stop = self._span.start, min(self._span.stop, rows.columns)
        query = torch.arange(rows.start, rows.stop, device=rows.weights.device)
        key = torch.arange(first, max(stop, first), device=rows.weights.device)
        sighted = rows.allowed.any(dim=-1)  # a row that sees nothing spreads over closed cells
        declared = self._declared.mask().rows(
            rows.start - first, rows.stop - first, len(key), rows.weights.device
        )[0]
        counts = (key > query[:, None]) & ~declared & sighted[..., None]
        ahead = (rows.weights[..., first:stop] * counts).nan_to_num(nan=0.0)
        if ahead.numel() and float(ahead.max()) > self.future:
            self.future = float(ahead.max())
            head, row, at = torch.unravel_index(ahead.argmax(), ahead.shape)
            self.future_at = (int(head), int(row) + rows.start - first, int(at))

    def verified(self) -> bool:
        return all(self.match.verified(head) for head in range(self._call.heads))


class _Masks:
    """The cells that are not as declared, by kind, block by block."""

    def __init__(self, span: Span, declared: Declared) -> None:
        self._span, self._declared = span, declared
        self._count: dict[str, int] = {}
        self._first: dict[str, tuple[int, int, int]] = {}
        self._distances: dict[str, Tensor] = {}
        self._open_past = 0
        self._heads = 1
        self.blind: tuple[int, int] | None = None

    def add(self, allowed: Bool[Tensor, "head row key"], start: int) -> None:
        """Rows from raw position `start` on, against all raw keys."""
        span, first = self._span, start - self._span.start
        rows, self._heads = allowed.shape[1], allowed.shape[0]
        inside, outside = allowed[..., span.start : span.stop], allowed.clone()
        outside[..., span.start : span.stop] = False
        declared = self._declared.mask().rows(first, first + rows, span.tokens)[0]
        query = torch.arange(first, first + rows)[:, None]
        later = torch.arange(span.tokens) > query
        self._note("ahead", inside & ~declared & later, first)
        self._note("beyond", inside & ~declared & ~later, first)
        if self._declared.exact:
            self._note("missing", declared & ~inside, first)
        if span.beside:
            self._note(span.beside, outside, first)
        self._open_past += int((inside & ~later).sum())
        if self.blind is None and (found := _first_row(~allowed.any(dim=-1))):
            self.blind = (found[0], found[1] + first)

    def _note(self, kind: str, wrong: Bool[Tensor, "head row key"], first: int) -> None:
        where: Int[Tensor, "cell 3"] = wrong.nonzero()
        if not len(where):
            return
        head, row, key = where[0].tolist()
        self._first.setdefault(kind, (head, row + first, key))
        self._count[kind] = self._count.get(kind, 0) + len(where)
        distance = torch.unique(where[:, 1] + first - where[:, 2])
        known = self._distances.get(kind, distance)
        self._distances[kind] = torch.unique(torch.cat([known, distance]))

    def cells(self, kind: str) -> Cells | None:
        """What was found of one kind."""
        if kind not in self._count:
            return None
        head, query, key = self._first[kind]
        return Cells(
            count=self._count[kind], head=head, query=query, key=key, pattern=self._pattern(kind)
        )

    def _pattern(self, kind: str) -> str:
        tokens, count = self._span.tokens, self._count[kind]
        distances = self._distances[kind].tolist()
        if count == 1:
            return "a single cell"
        if kind == "ahead":
            return self._pattern_ahead(distances, count)
        size, kept = self._declared.size, self._declared.kind == "sliding"
        steps = {"beyond": size, "missing": size - 1}
        if kept and distances == [steps.get(kind)]:
            step = "wide" if kind == "beyond" else "narrow"
            return f"off by one: the {self._declared.kind} mask is one token too {step}"
        if kind == "beyond" and count == self._heads * self._beyond_cells(tokens):
            return f"the {self._declared.words} is missing"
        return ""

    def _pattern_ahead(self, distances: list[int], count: int) -> str:
        later = self._heads * self._span.tokens * (self._span.tokens - 1) // 2
        if count == later:
            return "inverted" if self._open_past == 0 else "the causal mask is missing"
        if distances == [-1]:
            return "off by one: each query sees the next token"
        return ""

    def _beyond_cells(self, tokens: int) -> int:
        declared = self._declared.mask().rows(0, tokens, tokens)[0, 0]
        return int((torch.ones(tokens, tokens).tril().bool() & ~declared).sum())


def largest(values: Float[Tensor, "query swap"]) -> tuple[float, int, int]:
    """The largest value of a map, and its row and column."""
    at = int(values.argmax())
    row, column = divmod(at, values.shape[1])
    return float(values[row, column]), row, column
