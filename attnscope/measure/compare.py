"""One head under two masks: the weights, the outputs, and what a query loses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnscope.masks import dense, everything
from attnscope.measure.attention import bias_at, output_rows, row_blocks, weight_rows
from attnscope.measure.focus import tally
from attnscope.measure.run import Selection
from attnscope.measure.trace import biases_are_known, head_view, kept, one_head, under_mask
from attnscope.records import AttentionCall, HeadComparison, HeadFocus, ModelInfo, Unseen

Change = Callable[[AttentionCall], AttentionCall]
"""From a call to the same call under another mask."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The head that another mask changes most so far."""

    call: AttentionCall
    focus: HeadFocus
    moved: float
    """Mean share of a query's weight that lies elsewhere under the other mask."""
    alone: bool
    """True while no other head was looked at."""


class ComparisonTally:
    """Holds the calls of one run against themselves under another mask, one after the other."""

    def __init__(
        self, change: Change, ids: Int[Tensor, " key"], model: ModelInfo, selection: Selection
    ) -> None:
        self._change, self._ids = change, ids
        self._model, self._selection = model, selection
        self._best: _Chosen | None = None
        self.layers: set[int] = set()
        """Layers of which attention was seen."""
        self._notes: dict[str, None] = {}

    def add(self, call: AttentionCall) -> None:
        """Measure one call; calls whose scores are not understood are passed over."""
        self.layers.add(call.layer)
        if problem := self._cannot_compare(call):
            self._notes[f"{call.module} is not compared: {problem}."] = None
            return
        heads = [
            head
            for head in range(call.heads)
            if self._selection.wants(call.layer, head, self._model.layers, call.heads)
        ]
        if not heads:
            return
        moved = weight_moved(call, self._change(call))
        head = max(heads, key=lambda one: float(moved[one]))
        first = self._best is None and len(heads) == 1
        if self._best is None or float(moved[head]) > self._best.moved:
            focus = tally(call, self._ids).result()[head]
            self._best = _Chosen(kept(call), focus, float(moved[head]), first)
        else:
            self._best = replace(self._best, alone=False)

    def miss(self, unseen: Unseen) -> None:
        """Note attention that was not followed."""
        if unseen.over(len(self._ids)):
            self._notes[f"{unseen.module} is not compared: {unseen.reason}."] = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over, in words."""
        return tuple(self._notes)

    def _cannot_compare(self, call: AttentionCall) -> str:
        size = len(self._ids)
        if call.query is None:
            return "its scores are not understood"
        if (call.queries, call.keys) != (size, size):
            return f"{call.queries} queries over {call.keys} keys"
        if not biases_are_known(call, self._change(call).mask):
            return "its mask also holds position biases, and those of hidden keys are not known"
        return ""

    def result(self) -> HeadComparison | None:
        """The comparison of the head that changes most; None where no call could be measured."""
        if self._best is None:
            return None
        call, focus = self._best.call, self._best.focus
        reason = f"of all heads the one that changes most: {self._best.moved:.0%} of its weight"
        if not self._best.moved:
            reason = "this mask changes no weight of it"
        elif self._best.alone:
            reason = f"{self._best.moved:.0%} of its weight moves"
        return compare_head(call, self._change(call), focus, reason)


def weight_moved(call: AttentionCall, other: AttentionCall) -> Float[Tensor, " head"]:
    """Mean over queries of half the summed difference of their weights, 0 to 1, for each head."""
    total = torch.zeros(call.heads, dtype=torch.float64)
    for start, stop in row_blocks(call):
        one, two = weight_rows(call, start, stop), weight_rows(other, start, stop)
        columns = max(one.columns, two.columns)
        gap = _wide(one.weights, columns) - _wide(two.weights, columns)
        total += gap.abs().sum(dim=(1, 2)).cpu() / 2
    return total / call.queries


@dataclass(slots=True)
class _Found:
    """What passing over the rows of both collects."""

    own: list[Tensor]
    other: list[Tensor]
    counts: list[Tensor]
    weights: list[Tensor]


def compare_head(
    call: AttentionCall, other: AttentionCall, focus: HeadFocus, reason: str
) -> HeadComparison:
    """The head of `focus` in a call, and in the same call under another mask (`under_mask`)."""
    own_view, other_view = (head_view(each, focus, reason) for each in (call, other))
    own, changed = one_head(call, focus.head), one_head(other, focus.head)
    found = _Found([], [], [], [])
    for start, stop in row_blocks(own):
        _add(found, own, changed, (start, stop))
    own_output, other_output = torch.cat(found.own), torch.cat(found.other)
    gap = (own_output - other_output).norm(dim=-1)
    hidden, shown = torch.cat(found.counts, dim=1)
    hidden_weight, shown_weight = torch.cat(found.weights, dim=1)
    return HeadComparison(
        own=own_view,
        other=other_view,
        difference=own_view.weights - other_view.weights,
        own_output=own_output,
        other_output=other_output,
        hidden=hidden,
        hidden_weight=hidden_weight,
        shown=shown,
        shown_weight=shown_weight,
        moved=(gap / other_output.norm(dim=-1)).nan_to_num(0.0, posinf=torch.inf),
        lost=(own_output == 0) & (other_output.abs() > torch.finfo(torch.float32).eps),
    )


def multiplied(call: AttentionCall) -> AttentionCall:
    """The call with its scores multiplied by 0 and 1, a common mistake for adding -inf and 0.

    A score of 0 is no closed door: its exponential is 1.
    """
    device = call.output.device
    seen = dense(call.mask.rows(0, call.queries, call.keys, device)).predicate
    bias = bias_at(call, 0, call.queries)
    added = None if bias is None else bias.expand(call.heads, call.queries, call.keys)

    def times_mask(
        score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor
    ) -> Tensor:
        if call.score_mod is not None:
            score = call.score_mod(score, batch, head, query, key)
        elif call.softcap is not None:
            score = call.softcap * torch.tanh(score / call.softcap)
        if added is not None:
            score = score + added[head, query, key]
        return torch.where(seen(batch, head, query, key), score, 0.0)

    return replace(under_mask(call, everything()), bias=(), score_mod=times_mask)


def _add(found: _Found, own: AttentionCall, other: AttentionCall, span: tuple[int, int]) -> None:
    rows, changed = weight_rows(own, *span), weight_rows(other, *span)
    found.own.append(output_rows(own, rows)[0].cpu())
    found.other.append(output_rows(other, changed)[0].cpu())
    seen, would_see = _open(own, span), _open(other, span)
    hidden, shown = would_see & ~seen, seen & ~would_see
    found.counts.append(torch.stack([hidden.sum(dim=-1), shown.sum(dim=-1)]))
    weights = _wide(changed.weights[0].cpu(), own.keys), _wide(rows.weights[0].cpu(), own.keys)
    parts = [(one * of).sum(dim=-1) for one, of in zip(weights, (hidden, shown), strict=True)]
    found.weights.append(torch.stack(parts))


def _wide(weights: Tensor, columns: int) -> Tensor:
    """The weights with zeros for the keys that they leave out."""
    return torch.nn.functional.pad(weights, (0, columns - weights.shape[-1]))


def _open(call: AttentionCall, span: tuple[int, int]) -> Tensor:
    return call.mask.rows(*span, call.keys, call.output.device)[0, 0].cpu()
