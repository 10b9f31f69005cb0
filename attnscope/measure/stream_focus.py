"""One attention call's heads by streaming: the sums of its rows, what they mean, and their proof.

Whether the weights are the kernel's own is asked of every row without a second product of weights
and values (Freivalds 1979): with one vector r of random signs, (w · V) r = w · (V r), and the
right-hand side is one more weighted sum. As in `measure.rounding`, two right outputs differ by a
vector that is no longer than `ROUNDING_FACTOR · (eps + δ) · Σ w · |v|`, and random signs make a few
times its length of it at most (Hoeffding 1963): `_SURE` times are allowed. Measured: see
docs/architecture.md, "Long inputs".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnscope.measure.attention import exact
from attnscope.measure.call_focus import CallFocus, Match, Means
from attnscope.measure.focus import tally
from attnscope.measure.rounding import ROUNDING_FACTOR, score_rounding
from attnscope.measure.row_parts import Problem, RowSums
from attnscope.measure.statistics import LOCAL_FROM, Statistic
from attnscope.measure.streaming import row_sums
from attnscope.measure.triton_rows import triton_row_sums, usable
from attnscope.measure.workspace import Workspace
from attnscope.records import AttentionCall

_SURE = 3.0
"""Fixed once from measurements; see above."""


def focus_of(call: AttentionCall, workspace: Workspace) -> CallFocus:
    """The heads of one call over the tokens of a workspace.

    Calls whose scores only the reference understands are left to it.
    """
    if call.query is None or call.key is None or call.score_mod is not None or _uneven(call):
        return tally(call, workspace.occurrences.ids).counted()
    problem = _problem(call, call.query[0], call.key[0], workspace)
    sums = _sums(problem, workspace)
    taken = _left_by_sinks(sums, call.sinks)
    means = Means()
    means.add(_statistics(problem, sums, taken), problem.open.visible > 0)
    return CallFocus(
        layer=call.layer,
        heads=call.heads,
        group=problem.group,
        means=means,
        match=_Matching(call, problem, sums, taken).result(),
        future=exact((sums.future * taken).amax(dim=-1)),
        received=sums.received.float(),
    )


def _uneven(call: AttentionCall) -> bool:
    """True where keys and values are grouped differently, which no kernel of today does."""
    return call.key is not None and call.key.shape[1] != call.value.shape[1]


def _problem(call: AttentionCall, query: Tensor, key: Tensor, workspace: Workspace) -> Problem:
    value = call.value[0]
    return Problem(
        query=query,
        key=key,
        scale=call.scale,
        softcap=call.softcap,
        bias=tuple(term[0] for term in call.bias),
        sinks=call.sinks,
        open=workspace.opened(call),
        occurrences=workspace.occurrences,
        probes=torch.stack([_along_signs(value), _wide(value).norm(dim=-1)]),
    )


def _sums(problem: Problem, workspace: Workspace) -> RowSums:
    """By Triton where it can be asked, else by torch."""
    spans, dtype = problem.open.spans, problem.query.dtype
    if spans is None or problem.bias or problem.key.dtype != dtype or not usable(problem.query):
        return row_sums(problem, workspace)
    return triton_row_sums(
        problem.query,
        problem.key,
        scale=problem.scale,
        softcap=problem.softcap,
        spans=spans,
        ids=problem.occurrences.ids,
        sinks=problem.sinks,
        probes=problem.probes,
    )


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _along_signs(vectors: Float[Tensor, "head row d_v"]) -> Float[Tensor, "head row"]:
    """Their products with one vector of random signs, always the same one."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (vectors.shape[-1],), generator=generator) * 2 - 1
    wide = _wide(vectors)
    # transposed, which spares a copy of what the model keeps in another order
    along: Tensor = signs.to(wide).expand(len(wide), 1, -1) @ wide.mT
    return along[:, 0]


def _left_by_sinks(sums: RowSums, sinks: Tensor | None) -> Float[Tensor, "head row"]:
    """The share of each row's weight that its keys get."""
    if sinks is None:
        return torch.ones_like(sums.lse)
    share: Tensor = torch.sigmoid(sums.lse - sinks[:, None].to(sums.lse))
    return share


def _statistics(problem: Problem, sums: RowSums, share: Tensor) -> dict[str, Statistic]:
    """The statistics that `measure.statistics` defines."""
    rows = torch.arange(sums.lse.shape[1], device=sums.lse.device)
    position = rows + problem.offset
    visible = problem.open.visible
    occurrences = problem.occurrences
    every = torch.ones_like(visible, dtype=torch.bool)
    entropy = _entropy(sums, share, sinks=problem.sinks is not None)
    choices = visible + (problem.sinks is not None)
    largest = torch.log(choices.clamp(min=2).to(entropy))
    return {
        "entropy": Statistic(entropy, every),
        "broad": Statistic(entropy / largest, visible >= 2),
        "distance": Statistic(sums.distance * share, every),
        "self": Statistic(sums.near[0] * share, position >= 1),
        "previous": Statistic(sums.near[1] * share, position >= 1),
        "first": Statistic(sums.first * share, position >= 2),
        "local": Statistic(sums.near.sum(dim=0) * share, visible >= LOCAL_FROM),
        "duplicate": Statistic(sums.duplicate * share, occurrences.before[position] > 0),
        "induction": Statistic(sums.induction * share, occurrences.followed[position] > 0),
    }


def _entropy(sums: RowSums, share: Tensor, *, sinks: bool) -> Tensor:
    """Of the keys as lse - Σ w · score; a sink splits each row in two parts first."""
    of_keys = (sums.lse - sums.score).clamp(min=0.0).masked_fill(sums.lse == -torch.inf, 0.0)
    if not sinks:
        return of_keys
    split: Tensor = torch.special.entr(share) + torch.special.entr(1.0 - share)
    return share * of_keys + split


@dataclass(frozen=True, slots=True)
class _Matching:
    """The outputs along one direction: the kernel's, and ours."""

    call: AttentionCall
    problem: Problem
    sums: RowSums
    share: Tensor

    def result(self) -> Match:
        """Whether each head's rows match, and in how many a wider mask would have shown."""
        own = _along_signs(self.call.output[0])
        carried = self.sums.probes[1] * self.share
        limit = self._limit() * carried
        gap = (self.sums.probes[0] * self.share - own).abs()
        ratio = torch.where(gap == 0, 0.0, gap / limit).nan_to_num(nan=torch.inf, posinf=torch.inf)
        ratio = ratio.masked_fill(~limit.isfinite(), torch.inf)
        effect, closed = self._next_key(own)
        noticed = ((effect > limit[:, : len(closed)]) & closed).sum(dim=-1)
        noticeable = closed.sum().expand(self.call.heads)
        told = (noticed > 0) | (noticeable == 0)
        verified = (ratio.amax(dim=-1) <= 1.0) & (told | self.call.witnessed)
        root = self.call.output.shape[-1] ** 0.5
        return Match(
            compared=self.call.queries,
            difference=exact(gap.nan_to_num(nan=torch.inf).amax(dim=-1)) / root,
            rounding=exact(ratio.amax(dim=-1)),
            noticed=noticed,
            noticeable=noticeable,
            verified=verified & (not self.call.unexplained),
        )

    def _limit(self) -> Float[Tensor, "head row"]:
        """What rounding explains of one row, as a multiple of Σ w · |v|."""
        call, sums = self.call, self.sums
        eps = max(
            torch.finfo(part.dtype).eps for part in (self.problem.query, call.value, call.output)
        )
        query = _wide(self.problem.query).norm(dim=-1)
        key = _wide(self.problem.key).norm(dim=-1).amax(dim=-1)
        # Σ w · |score| is at most |lse| + (lse - Σ w · score)
        size = (sums.lse.abs() + sums.lse - sums.score).masked_fill(sums.lse == -torch.inf, 0.0)
        error = score_rounding(call, query, key, size)
        factor: Tensor = _SURE * ROUNDING_FACTOR * (eps + error)
        return factor

    def _next_key(self, own: Tensor) -> tuple[Tensor, Bool[Tensor, " row"]]:
        """How far each output would move if its row saw one key more, the next one, and where it
        does not. Position biases are left out of its score.
        """
        problem, sums = self.problem, self.sums
        begin = problem.offset + 1
        rows = problem.key.shape[1] - begin  # the last one has no next key
        pairs = zip(torch.split(problem.query[:, :rows], problem.group), problem.key, strict=True)
        # head by head, so that the products never take more room than one head does
        score = torch.cat([(_wide(query) * _wide(key[begin:])).sum(dim=-1) for query, key in pairs])
        score *= problem.scale
        if problem.softcap is not None:
            score = problem.softcap * torch.tanh(score / problem.softcap)
        total = sums.lse[:, :rows]
        if problem.sinks is not None:
            total = torch.logaddexp(total, problem.sinks[:, None].to(total))
        value = problem.probes[0, :, begin:].repeat_interleave(problem.group, dim=0)
        moved = (value - own[:, :rows]).abs() * torch.sigmoid(score - total)
        return moved, ~problem.open.next_seen(problem.offset)[:rows]
