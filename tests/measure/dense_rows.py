"""Row sums of one call from all its weights in float64, and how far float32 may be from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnscope.measure.openness import Spans
from attnscope.measure.row_parts import RowSums

EPS = torch.finfo(torch.float32).eps
BACK = 4


@dataclass(frozen=True, kw_only=True)
class Call:
    """What row sums are taken of."""

    query: Tensor
    key: Tensor
    scale: float
    softcap: float | None = None
    spans: Spans
    ids: Tensor
    sinks: Tensor | None = None
    probes: Tensor


def worst(call: Call, sums: RowSums) -> dict[str, float]:
    """For each field the largest difference from float64, as a share of what rounding allows."""
    truth = _Dense(call)
    ratios = {}
    for name, (value, limit) in truth.fields().items():
        got = getattr(sums, name).double().cpu()
        assert got.shape == value.shape, (name, got.shape, value.shape)
        off = ((got - value).abs() / limit).masked_fill(got == value, 0.0)  # -inf is -inf
        ratios[name] = float(off.nan_to_num(nan=math.inf).max())
    return ratios


class _Dense:
    """All weights of a call, in float64 on the CPU."""

    def __init__(self, call: Call) -> None:
        query, key = call.query.cpu().double(), call.key.cpu().double()
        key = key.repeat_interleave(len(query) // len(key), dim=0)
        self.call = call
        rows, self.keys = query.shape[1], key.shape[1]
        self.scores = query @ key.mT * call.scale
        if call.softcap is not None:
            self.scores = call.softcap * torch.tanh(self.scores / call.softcap)
        place = torch.arange(rows) + self.keys - rows
        index = torch.arange(self.keys)
        low, high = call.spans.low.cpu()[:, None], call.spans.high.cpu()[:, None]
        self.seen = (index >= low) & (index < high)
        self.away = place[:, None] - index
        self.place = place
        scores = self.scores.masked_fill(~self.seen, -math.inf)
        self.lse = scores.logsumexp(-1)
        self.weights = scores.softmax(-1).masked_fill(~self.seen, 0.0)
        self._limit(query, key)

    def _limit(self, query: Tensor, key: Tensor) -> None:
        """How far off scores may be, and by which share of itself a weight then is.

        A sum of d products is off by eps d |q| |k| at most; scaling, the cap, storing its
        logarithm and the sink's add a few eps of the score, exp2 and log2 a few eps. A factor of
        exp(score error) in the weight and in what it is divided by, and a sum over the keys.
        Whole numbers are multiplied and summed without any error.
        """
        whole = bool((query == query.round()).all() and (key == key.round()).all())
        terms = 4 if whole else query.shape[-1] + 4
        size = query.norm(dim=-1)[..., None] * key.norm(dim=-1)[:, None] * abs(self.call.scale)
        largest = (size * self.seen).amax(-1)
        if self.call.sinks is not None:
            largest = torch.maximum(largest, self.call.sinks.cpu().double().abs()[:, None])
        self.off = EPS * (terms * largest + 8)
        self.share = torch.expm1(2 * self.off) + EPS * self.keys

    def fields(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Each field of `RowSums` with its limit."""
        scores = self.scores.masked_fill(~self.seen, 0.0)
        top = self.scores.masked_fill(~self.seen, -math.inf).amax(-1, keepdim=True)
        below = (top - scores).masked_fill(~self.seen, 0.0)
        score, distance = self._sum(scores), self._sum(self.away)
        lse = self.off + EPS * (self.keys + self.lse.abs().nan_to_num(posinf=0.0))
        ids = self.call.ids.cpu()
        own = ids[self.place.clamp(min=0)][:, None]
        follows = torch.zeros_like(self.seen)
        follows[:, 1:] = ids[:-1] == own
        earlier = self.away > 0
        future = (self.weights * (self.away < 0)).amax(-1)
        near = torch.stack([self._sum(self.away == back) for back in range(BACK)])
        return {
            "lse": (self.lse, lse),
            "score": (score, self.off + EPS * score.abs() + self.share * self._sum(below)),
            "distance": (distance, self.share * self._sum(self.away.abs()) + EPS),
            "first": self._weight(self.weights[..., 0]),
            "near": self._weight(near),
            "duplicate": self._weight(self._sum((ids == own) & earlier)),
            "induction": self._weight(self._sum(follows & earlier)),
            "future": self._weight(future),
            "probes": self._probes(),
            "received": self._received(),
        }

    def _sum(self, what: Tensor) -> Tensor:
        return (self.weights * what).sum(-1)

    def _weight(self, value: Tensor) -> tuple[Tensor, Tensor]:
        return value, self.share * value + EPS

    def _probes(self) -> tuple[Tensor, Tensor]:
        probes = self.call.probes.cpu().double()
        probes = probes.repeat_interleave(len(self.weights) // probes.shape[1], dim=1)
        value = (self.weights @ probes[..., None])[..., 0]
        size = (self.weights @ probes.abs()[..., None])[..., 0]
        return value, self.share * size + EPS

    def _received(self) -> tuple[Tensor, Tensor]:
        weights = self.weights
        if self.call.sinks is not None:
            sink = self.call.sinks.cpu().double()[:, None]
            weights = weights * torch.sigmoid(self.lse - sink)[..., None]
        total = weights.sum(1)
        limit = (weights * self.share[..., None]).sum(1) + EPS * (weights.shape[1] * total + 1)
        return total, limit
