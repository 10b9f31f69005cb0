"""From tensor code to the formula: what the spy makes of the steps before a softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attnscope.capture import capture
from attnscope.measure.focus import tally
from attnscope.records import AttentionCall

N = 9
LOW = torch.finfo(torch.float32).min
LATER = torch.ones(N, N).triu(1).bool()
MASK = torch.zeros(N, N).masked_fill(LATER, LOW)
SLOPES = torch.tensor([0.5, 0.25])[None, :, None, None]

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


class Layer(torch.nn.Module):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return self.kernel(query, key, value)


def record(kernel: Kernel, heads: int = 2) -> list[AttentionCall]:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(1, heads, N, 4, generator=generator) for _ in range(3)]
    calls: list[AttentionCall] = []
    model = torch.nn.Sequential()
    model.add_module("attention", Layer(kernel))
    with torch.no_grad(), capture(model, calls.append):
        model.attention(*tensors)
    return calls


def masked_add(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-1, -2) / 2 + MASK, dim=-1) @ v


def masked_fill_in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.matmul(q, k.mT)
    scores *= 0.5
    scores.masked_fill_(LATER, -math.inf)
    return torch.matmul(scores.softmax(-1), v)


def where_and_scaled_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.where(LATER, torch.tensor(LOW), (q * 0.5) @ k.mT)
    weights = torch.nn.functional.softmax(scores, dim=-1, dtype=torch.float64).to(v.dtype)
    return torch.nn.functional.dropout(weights, 0.5, training=False) @ v


def softcapped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.tanh((q @ k.mT) * 0.5 / 3.0) * 3.0
    return torch.softmax(scores + MASK, dim=-1) @ v


def with_sinks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    sinks = torch.tensor([0.3, -1.0]).reshape(1, -1, 1, 1).expand(1, -1, N, 1)
    scores = torch.cat([q @ k.mT + MASK, sinks], dim=-1)
    scores = scores - scores.max(dim=-1, keepdim=True).values
    return torch.softmax(scores, dim=-1)[..., :-1] @ v


def alibi_by_baddbmm(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    bias = (SLOPES * torch.arange(N)).reshape(2, 1, N)
    flat = [part.reshape(2, N, 4) for part in (q, k, v)]
    scores = bias.baddbmm(flat[0], flat[1].mT, beta=1.0, alpha=0.5).view(1, 2, N, N)
    weights = torch.softmax(scores + MASK, dim=-1).view(2, N, N)
    return torch.bmm(weights, flat[2])


def scaled_after_bias(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = (q @ k.mT + SLOPES * torch.arange(N)) * 0.5
    return torch.softmax(scores + MASK, dim=-1) @ v


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * 0.5
    weights = torch.softmax(scores.masked_fill(LATER, LOW), dim=-1)
    return torch.einsum("bhqk,bhkd->bqhd", weights, v)


def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two query heads share one key/value head, in five dimensions."""
    q, k, v = q[:, None], k[:, None, :1], v[:, None, :1]
    return torch.softmax(q @ k.mT + MASK, dim=-1) @ v


UNDERSTOOD = (
    masked_add, masked_fill_in_place, where_and_scaled_query, softcapped, with_sinks,
    alibi_by_baddbmm, scaled_after_bias, by_einsum, grouped,
)  # fmt: skip


@pytest.mark.parametrize("kernel", UNDERSTOOD, ids=lambda kernel: kernel.__name__)
def test_understood_and_reproduced(kernel: Kernel) -> None:
    (call,) = record(kernel)
    assert call.unexplained is None
    assert call.module == "attention"
    assert torch.equal(call.mask.rows(0, N, N)[0, 0], ~LATER)
    heads = tally(call, torch.arange(N)).result()
    assert len(heads) == 2
    assert all(head.verified and head.future_weight == 0.0 for head in heads)


def mask_multiplied(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The classic mistake: scores times 0 or 1 leave a blocked key the weight of exp(0)."""
    return torch.softmax(q @ k.mT * (~LATER).float(), dim=-1) @ v


def mask_forgotten(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT, dim=-1) @ v


def one_cell_open(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mask = MASK.clone()
    mask[3, 7] = 0
    return torch.softmax(q @ k.mT + mask, dim=-1) @ v


def weights_patched(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Weights changed after the softmax: the output no longer follows from the scores."""
    weights = torch.softmax(q @ k.mT + MASK, dim=-1)
    weights[..., 3, 7] += 0.01
    return weights @ v


@pytest.mark.parametrize("kernel", [mask_multiplied, mask_forgotten, one_cell_open])
def test_planted_leaks_are_seen(kernel: Kernel) -> None:
    (call,) = record(kernel)
    heads = tally(call, torch.arange(N)).result()
    assert all(head.future_weight > 1e-3 for head in heads)


def test_weights_patched_after_the_softmax_are_no_silent_pass() -> None:
    calls = record(weights_patched)
    heads = tally(calls[0], torch.arange(N)).result() if calls else ()
    assert not any(head.verified for head in heads)


def test_what_is_not_understood_is_said() -> None:
    (call,) = record(mask_multiplied)
    assert call.unexplained is not None
    assert call.query is None
    (head, _) = tally(call, torch.arange(N)).result()
    assert not head.verified
    assert math.isnan(head.difference)


def test_torchs_own_kernel() -> None:
    def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=MASK)

    (call,) = record(sdpa)
    assert call.mask_form == "additive float32 tensor"
    assert all(head.verified for head in tally(call, torch.arange(N)).result())


def test_a_softmax_that_weighs_nothing_is_no_attention() -> None:
    def router(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ k.mT, dim=-1).topk(2).values

    assert record(router) == []
