"""The sums over one call's weights on a GPU, for texts of any length.

Queries and keys are multiplied twice: once along the rows, which gives each row's sums by an online
softmax (Milakov and Gimelshein 2018, arXiv:1805.02867), once along the keys, which gives what each
key receives. No weight is stored.
"""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from attnscope.measure.openness import Spans
from attnscope.measure.row_parts import RowSums

WIDEST = 256
"""The largest head size."""

_NOBODY = -(2**31)
"""No token has this id."""
_PLANES = 13
"""All sums of rows are in one buffer; `triton_kernels` says in which order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """How the kernels cut up their work; it changes rounding and speed, nothing else."""

    held: int
    """Rows (or keys) that one program keeps: a power of two from 16."""
    streamed: int
    """Keys (or rows) that it takes at once: a power of two from 16."""
    warps: int
    stages: int
    """How many streamed tiles are being loaded at a time."""
    registers: int | None = None
    """The most that a thread may use, where a few spilled ones cost less than idle warps."""


def usable(query: Float[Tensor, "head row d"]) -> bool:
    """Whether `triton_row_sums` can be asked about tensors like this one.

    It takes triton and an NVIDIA GPU from Ampere on (or TRITON_INTERPRET=1 in the environment,
    which runs the kernels on the CPU, slowly), float32 or half precision, and heads of 16 to 256.
    """
    if query.dtype not in {torch.float16, torch.bfloat16, torch.float32}:
        return False
    if not 16 <= query.shape[-1] <= WIDEST or importlib.util.find_spec("triton") is None:
        return False
    if _interpreted():
        return True
    if not query.is_cuda or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(query.device) >= (8, 0)


def triton_row_sums(  # noqa: PLR0913
    query: Float[Tensor, "head row d"],
    key: Float[Tensor, "kv_head key d"],
    *,
    scale: float,
    softcap: float | None,
    spans: Spans,
    ids: Int[Tensor, " key"],
    sinks: Float[Tensor, " head"] | None,
    probes: Float[Tensor, "2 kv_head key"],
    tiles: Tiles | None = None,
) -> RowSums:
    """The sums of every row of one call, of scores softcap(scale * query . key).

    Ask only where `usable` says so. Query and key have one dtype and stride 1 along d; query heads
    share key heads in equal consecutive groups. ids: the tokens at the key positions, each within
    32 bits. Products are summed in float32, those of float32 without tf32.
    """
    tiles = tiles or _tiles(query)
    low, high = spans.low.int().contiguous(), spans.high.int().contiguous()
    ids = ids.to(torch.int32).contiguous()
    heads, rows, keys = query.shape[0], query.shape[1], key.shape[1]
    sums = query.new_empty(_PLANES, heads, rows, dtype=torch.float32)
    received = query.new_empty(heads, keys, dtype=torch.float32)
    work = _Work(query, key, _inner(scale, softcap), _outer(softcap), tiles)
    with torch.cuda.device(query.device if query.is_cuda else -1):
        work.sum_rows(low, high, ids, probes.float().contiguous(), sums)
        work.sum_places(low, high, sums)
        total = _total(sums[0], sinks)
        work.sum_keys(low, high, total, received)
    sums[:2] *= math.log(2)
    return RowSums(
        lse=sums[0],
        score=sums[1],
        distance=sums[2],
        duplicate=sums[3],
        induction=sums[4],
        future=sums[5],
        probes=sums[6:8],
        first=sums[8],
        near=sums[9:],
        received=received,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What all three kernels are given."""

    query: Tensor
    key: Tensor
    inner: float
    outer: float | None
    tiles: Tiles

    def sum_rows(
        self, low: Tensor, high: Tensor, ids: Tensor, probes: Tensor, sums: Tensor
    ) -> None:
        """Planes 0..7: lse and score in units of log 2, and what `triton_kernels` says."""
        from attnscope.measure.triton_kernels import sums_kernel

        tail = -len(ids) % self.tiles.streamed
        padded = torch.nn.functional.pad(ids, (1, tail), value=_NOBODY)
        grid = (_count(self.query.shape[1], self.tiles.held), self.query.shape[0])
        sums_kernel[grid](
            self.query, self.key, low, high, padded[1:], padded, probes, sums,
            *self._numbers(),
            STREAMED=self.tiles.streamed, **self._constants(self.tiles.held),
        )  # fmt: skip

    def sum_places(self, low: Tensor, high: Tensor, sums: Tensor) -> None:
        """Planes 8..12: the weights of key 0 and of the four nearest keys."""
        from attnscope.measure.triton_kernels import places_kernel

        held = min(self.tiles.held, 32)
        grid = (_count(self.query.shape[1], held), self.query.shape[0])
        places_kernel[grid](
            self.query, self.key, low, high, sums,
            *self._numbers(),
            **self._constants(held),
        )  # fmt: skip

    def sum_keys(self, low: Tensor, high: Tensor, total: Tensor, received: Tensor) -> None:
        """What each key receives of weights exp2(score - total)."""
        from attnscope.measure.triton_kernels import received_kernel

        bounds = _bounds(low, high, self.key.shape[1], self.tiles)
        grid = (bounds.shape[1], self.query.shape[0])
        received_kernel[grid](
            self.query, self.key, low, high, total, bounds, received,
            *self._numbers(),
            STREAMED=self.tiles.streamed, **self._constants(self.tiles.held),
        )  # fmt: skip

    def _numbers(self) -> tuple[float | int, ...]:
        query, key = self.query.stride(), self.key.stride()
        sizes = (self.query.shape[1], self.key.shape[1], self.query.shape[0] // self.key.shape[0])
        return (self.inner, self.outer or 0.0, *query[:2], *key[:2], *sizes)

    def _constants(self, held: int) -> dict[str, int | bool]:
        width = self.query.shape[-1]
        wide = max(16, 1 << (width - 1).bit_length())
        named = {"WIDTH": width, "WIDE": wide, "HELD": held, "CAPPED": self.outer is not None}
        given = {"num_warps": self.tiles.warps, "num_stages": self.tiles.stages}
        if self.tiles.registers is not None:
            given["maxnreg"] = self.tiles.registers
        return {**named, **given, "enable_fp_fusion": True}


def _bounds(
    low: Int32[Tensor, " row"], high: Int32[Tensor, " row"], keys: int, tiles: Tiles
) -> Int32[Tensor, "4 tile"]:
    """For each tile of keys the rows that see any of it (first, past the last), and between
    them a run of rows that see all of it: in the order begin, plain, plain no longer, end.
    """
    count = _count(len(low), tiles.streamed)
    start = torch.arange(0, keys, tiles.held, device=low.device)[:, None]
    stop = (start + tiles.held).clamp(max=keys)
    blind = low >= high

    def blocks(values: Tensor, fill: int) -> Tensor:
        padded = values.new_full((count * tiles.streamed,), fill)
        padded[: len(values)] = values
        return padded.view(count, tiles.streamed)

    far_low, no_high = low.masked_fill(blind, keys), high.masked_fill(blind, 0)
    reached = blocks(far_low, keys).amin(1) < stop
    reached &= blocks(no_high, 0).amax(1) > start
    whole = blocks(far_low, 0).amax(1) <= start
    whole &= blocks(no_high, keys).amin(1) >= stop
    begin = _first(reached)
    end = torch.where(reached.any(1), count - _first(reached.flip(1)), begin)
    plain = torch.where(whole.any(1), _first(whole), end)
    other = ~whole & (torch.arange(count, device=low.device) >= plain[:, None])
    plain_end = torch.where(other.any(1), _first(other), end)
    plain_end = torch.maximum(plain, torch.minimum(plain_end, end))
    return (torch.stack([begin, plain, plain_end, end]) * tiles.streamed).int()


def _first(yes: Tensor) -> Tensor:
    """The first true column of each row; 0 where there is none."""
    return yes.int().argmax(1)


def _total(lse: Tensor, sinks: Tensor | None) -> Tensor:
    """What weights are divided by, sinks counted in, as a logarithm; +inf for blind rows."""
    total = lse
    if sinks is not None:
        total = torch.logaddexp2(lse, sinks.float()[:, None] / math.log(2))
    return total.masked_fill(lse == -math.inf, math.inf).contiguous()


def _inner(scale: float, softcap: float | None) -> float:
    return scale / math.log(2) if softcap is None else scale / softcap


def _outer(softcap: float | None) -> float | None:
    return None if softcap is None else softcap / math.log(2)


def _tiles(query: Tensor) -> Tiles:
    wide = query.shape[-1] > 128
    if query.dtype == torch.float32:  # without tf32 no tensor cores, and registers are short
        return Tiles(held=32, streamed=16 if wide else 32, warps=8, stages=2)
    if wide:
        return Tiles(held=128, streamed=32, warps=8, stages=2, registers=128)
    return Tiles(held=128, streamed=64, warps=8, stages=3, registers=128)


def _count(size: int, tile: int) -> int:
    return -(-size // tile)


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "on", "yes", "y"}
