"""No silent pass: what the spies cannot follow is said, and no clean model is accused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import multi_head_attention_forward, scaled_dot_product_attention

from attnscope.capture import capture
from attnscope.measure.run import RunTally, Selection
from attnscope.records import ModelInfo, Proof, Tokens
from tests.tiny import tiny

N = 9
LATER = torch.ones(N, N).triu(1).bool()
SEES_ALL = torch.zeros(N, N).bool()
"""A mask that hides nothing: every use of it below is a leak."""

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class Layer(torch.nn.Module):
    def __init__(self, kernel: Kernel, later: Tensor) -> None:
        super().__init__()
        self.kernel, self.later = kernel, later

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (2, 4)).transpose(1, 2)
        output = self.kernel(heads, heads * 0.7 + 0.1, heads.flip(-1), self.later)
        return x + output.transpose(1, 2).flatten(2)


def clean_kernel(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    return torch.softmax((q @ k.mT).masked_fill(later, -torch.inf), dim=-1) @ v


def proof_of(kernel: Kernel, later: Tensor) -> Proof:
    """Two layers: an ordinary clean one, then the one under test."""
    model = torch.nn.Sequential()
    model.layers = torch.nn.ModuleList([Layer(clean_kernel, LATER), Layer(kernel, later)])
    words = tuple(f"w{place}" for place in range(N))
    tokens = Tokens(ids=tuple(range(N)), texts=words, labels=words, special=(False,) * N)
    info = ModelInfo(
        name="m", architecture="M", parameters=0, layers=2, heads=2, kv_heads=2, device="cpu",
        dtype="float32", backend="own",
    )  # fmt: skip
    run = RunTally(info, tokens, Selection())
    x = torch.randn(1, N, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), capture(model, run.add, run.miss):
        for layer in model.layers:
            x = layer(x)
    return run.result().proof


def masked_after(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT, dim=-1).masked_fill(later, 0.0) @ v


def renormalised(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    weights = torch.softmax(q @ k.mT, dim=-1) * ~later
    return (weights / weights.sum(-1, keepdim=True)) @ v


def log_softmax(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    return torch.log_softmax((q @ k.mT).masked_fill(later, -1e9), dim=-1).exp() @ v


def exp_and_sum(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    weights = torch.exp(q @ k.mT).masked_fill(later, 0.0)
    return weights / weights.sum(-1, keepdim=True) @ v


def special_softmax(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    return torch.special.softmax((q @ k.mT).masked_fill(later, -1e9), dim=-1) @ v


def einsum_of_a_list(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    scores = torch.einsum("bhqd,bhkd->bhqk", [q, k]).masked_fill(later, -1e9)
    return torch.einsum("bhqk,bhkd->bhqd", [torch.softmax(scores, -1), v])


def operands_by_name(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    scores = torch.matmul(input=q, other=k.mT)
    scores = torch.add(scores, other=torch.zeros(N, N).masked_fill(later, -1e9))
    return torch.matmul(input=torch.softmax(input=scores, dim=-1), other=v)


def transposed_product(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    weights = torch.softmax((q @ k.mT).masked_fill(later, -1e9), dim=-1)
    return (v.mT @ weights.mT).mT


def sum_of_products(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    weights = torch.softmax((q @ k.mT).masked_fill(later, -1e9), dim=-1)
    return (weights[..., None] * v[:, :, None]).sum(-2)


def keys_first(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    return torch.softmax((k @ q.mT).masked_fill(later.mT, -1e9), dim=-2).mT @ v


def difference_of_two(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    scores = (q @ k.mT).masked_fill(later, -1e9)
    return (torch.softmax(scores, -1) - 0.5 * torch.softmax(2 * scores, -1)) @ v


def in_query_chunks(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    parts = [
        scaled_dot_product_attention(q[:, :, i : i + 3], k, v, attn_mask=~later[i : i + 3])
        for i in range(0, N, 3)
    ]
    return torch.cat(parts, dim=2)


def linear(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    return ((q @ k.mT).relu() * ~later) @ v


def multi_head(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    def joined(part: Tensor) -> Tensor:
        return part.transpose(1, 2).flatten(2).transpose(0, 1)

    weight, bias = torch.eye(8).repeat(3, 1), torch.zeros(24)
    output, _ = multi_head_attention_forward(
        joined(q), joined(k), joined(v), 8, 2, weight, bias, None, None, False, 0.0,
        torch.eye(8), torch.zeros(8), attn_mask=later, need_weights=False,
    )  # fmt: skip
    return output.transpose(0, 1).unflatten(-1, (2, 4)).transpose(1, 2)


ALL = (
    masked_after, renormalised, log_softmax, exp_and_sum, special_softmax, einsum_of_a_list,
    operands_by_name, transposed_product, sum_of_products, keys_first, difference_of_two,
    in_query_chunks, linear, multi_head, clean_kernel,
)  # fmt: skip


@pytest.mark.parametrize("kernel", ALL, ids=lambda kernel: kernel.__name__)
def test_a_leak_is_never_clean(kernel: Kernel) -> None:
    proof = proof_of(kernel, SEES_ALL)
    assert proof.state in {"leak", "unchecked"}
    assert proof.state == "leak" or proof.unchecked or proof.unverified


@pytest.mark.parametrize("kernel", ALL, ids=lambda kernel: kernel.__name__)
def test_a_causal_model_is_never_accused(kernel: Kernel) -> None:
    if kernel is masked_after:
        pytest.skip("its softmax does give weight to later tokens, and it is taken away after")
    proof = proof_of(kernel, LATER)
    assert proof.state in {"clean", "unchecked"}


def assigned(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    scores = q @ k.mT
    scores[..., later] = -torch.inf
    return torch.softmax(scores, dim=-1) @ v


def filled_through_a_view(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    scores = q @ k.mT
    scores.view(-1, N, N).masked_fill_(later, -torch.inf)
    return torch.softmax(scores, dim=-1) @ v


def filled_through_data(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    scores = q @ k.mT
    scores.data.masked_fill_(later, -torch.inf)
    return torch.softmax(scores, dim=-1) @ v


def causal_bias(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    return scaled_dot_product_attention(q, k, v, attn_mask=causal_lower_right(N, N))


def rows_without_keys(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
    hidden = later.clone()
    hidden[:3] = True
    return torch.softmax((q @ k.mT).masked_fill(hidden, torch.finfo().min), dim=-1) @ v


@pytest.mark.parametrize(
    "kernel",
    [assigned, filled_through_a_view, filled_through_data, causal_bias, rows_without_keys],
    ids=lambda kernel: kernel.__name__,
)
def test_masks_by_another_way_are_no_false_alarm(kernel: Kernel) -> None:
    proof = proof_of(kernel, LATER)
    assert proof.state in {"clean", "unchecked"}
    assert proof.future_max == 0.0


def test_a_factor_made_from_the_scores_is_no_plain_scale() -> None:
    """Dividing by a statistic of all scores lets later tokens in by another door."""

    def normalised(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> Tensor:
        scores = q @ k.mT
        scores = scores / scores.std()
        return torch.softmax(scores.masked_fill(later, -1e9), dim=-1) @ v

    assert proof_of(normalised, LATER).state == "unchecked"


def test_keys_moved_inside_the_kernel_are_doubted() -> None:
    import transformers.models.llama.modeling_llama as llama

    original = llama.eager_attention_forward

    def rolled(module, query, key, value, attention_mask, **kwargs):  # type: ignore[no-untyped-def]
        key, value = key.roll(-1, 2), value.roll(-1, 2)
        return original(module, query, key, value, attention_mask, **kwargs)

    calls = []
    model = tiny("llama", "eager", num_key_value_heads=4)
    llama.eager_attention_forward = rolled
    try:
        with torch.no_grad(), capture(model, calls.append):
            model(torch.arange(5, 17)[None])
    finally:
        llama.eager_attention_forward = original
    assert calls[0].unexplained == "the kernel received other keys than the model offered"


def test_a_batch_is_not_half_checked() -> None:
    """Only the first row would be measured, so a batch is refused aloud."""
    words = ("a", "b", "c")
    tokens = Tokens(ids=(1, 2, 3), texts=words, labels=words, special=(False,) * 3)
    info = ModelInfo(
        name="m", architecture="M", parameters=0, layers=0, heads=1, kv_heads=1, device="cpu",
        dtype="float32", backend="own",
    )  # fmt: skip
    run = RunTally(info, tokens, Selection())
    model = tiny("llama", "sdpa")
    with torch.no_grad(), capture(model, run.add, run.miss):
        model(torch.tensor([[5, 6, 7], [8, 9, 10]]))
    proof = run.result().proof
    assert proof.state == "unchecked"
    assert "a batch of 2" in proof.unchecked[0]
