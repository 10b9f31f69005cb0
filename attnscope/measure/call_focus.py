"""What was counted over the query rows of one attention call, and the record it becomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnscope.measure.attention import exact
from attnscope.measure.roles import role_of
from attnscope.measure.statistics import Statistic
from attnscope.records import HeadFocus


class Means:
    """Sums and counts of each statistic, from which the means are made at the end."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, statistics: Mapping[str, Statistic], sees: Bool[Tensor, " row"]) -> None:
        """Count some rows, those that see a key."""
        for name, statistic in statistics.items():
            counts = statistic.counts & sees
            values = statistic.values.masked_fill(~counts, 0.0)
            self._note(name, exact(values).sum(dim=-1), int(counts.sum()))

    def join(self, other: Means) -> None:
        """Count what another has counted, of the same heads."""
        for name, total in other._sums.items():
            self._note(name, total, other._counts[name])

    def of(self, head: int) -> dict[str, float | None]:
        """The means of one head by name; None where no row counts."""
        return {
            name: float(total[head]) / self._counts[name] if self._counts[name] else None
            for name, total in self._sums.items()
        }

    def _note(self, name: str, total: Tensor, count: int) -> None:
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts.get(name, 0) + count


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How well the recomputed outputs of one call match the kernel's; a number a head."""

    compared: int
    """Rows that were."""
    difference: Float[Tensor, " head"]
    """See `HeadFocus.difference`."""
    rounding: Float[Tensor, " head"]
    """See `HeadFocus.rounding`."""
    noticed: Int[Tensor, " head"]
    """See `HeadFocus.noticed`."""
    noticeable: Int[Tensor, " head"]
    """See `HeadFocus.noticeable`."""
    verified: Bool[Tensor, " head"]
    """See `HeadFocus.verified`."""


@dataclass(slots=True, kw_only=True)
class CallFocus:
    """One call, or the same call of one window after the other."""

    layer: int
    heads: int
    group: int
    """Query heads that share one key/value head."""
    match: Match
    future: Float[Tensor, " head"]
    """Largest weight on a later key."""
    received: Float[Tensor, "head key"]
    """Weight that each key receives, summed over rows."""
    means: Means = field(default_factory=Means)
    strongest: tuple[Tensor, Tensor] | None = None
    """The largest weight that a key receives from each head, and its position in the whole text."""

    def __post_init__(self) -> None:
        if self.strongest is None:
            largest = self.received.max(dim=-1)
            self.strongest = (largest.values, largest.indices)

    def join(self, other: CallFocus, start: int) -> None:
        """Add the same call of a later window, which begins at position `start`."""
        self.means.join(other.means)
        self.future = torch.maximum(self.future, other.future)
        self.match = _both(self.match, other.match)
        assert self.strongest is not None
        assert other.strongest is not None
        (weight, at), (new, place) = self.strongest, other.strongest
        more = new > weight
        self.strongest = torch.where(more, new, weight), torch.where(more, place + start, at)

    def result(self) -> tuple[HeadFocus, ...]:
        """One record a head."""
        return tuple(self._head(head) for head in range(self.heads))

    def _head(self, head: int) -> HeadFocus:
        means, match = self.means.of(head), self.match
        role, score = role_of(means)
        assert self.strongest is not None
        return HeadFocus(
            layer=self.layer,
            head=head,
            kv_head=head // self.group,
            entropy=means["entropy"] or 0.0,
            distance=means["distance"] or 0.0,
            strongest_key=int(self.strongest[1][head]),
            self_weight=means["self"] or 0.0,
            previous_weight=means["previous"] or 0.0,
            first_weight=means["first"] or 0.0,
            local_weight=means["local"],
            broad=means["broad"] or 0.0,
            induction=means["induction"],
            duplicate=means["duplicate"],
            future_weight=float(self.future[head]),
            role=role,
            role_score=score,
            compared=match.compared,
            verified=bool(match.verified[head]),
            difference=float(match.difference[head]) if match.compared else math.nan,
            rounding=float(match.rounding[head]) if match.compared else math.nan,
            noticed=int(match.noticed[head]),
            noticeable=int(match.noticeable[head]),
        )


def _both(one: Match, other: Match) -> Match:
    return Match(
        compared=one.compared + other.compared,
        difference=torch.maximum(one.difference, other.difference),
        rounding=torch.maximum(one.rounding, other.rounding),
        noticed=one.noticed + other.noticed,
        noticeable=one.noticeable + other.noticeable,
        verified=one.verified & other.verified,
    )
