"""torch's fused attention: its own path is kept, and what it was handed is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from attnscope.capture import capture
from attnscope.records import AttentionCall, Unseen
from tests.own.zoo import lower

CAUSAL = lower(7)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        yield


class Holder(nn.Module):
    """Runs something on (1, 7, 16) and holds it under a name."""

    def __init__(self, inner: nn.Module, run: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.run = inner.eval(), run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.inner, x)


def attention(**given: object) -> Holder:
    inner = nn.MultiheadAttention(16, 4, batch_first=True)
    return Holder(inner, lambda one, x: one(x, x, x, **given)[0])  # type: ignore[operator]


def layer(mask: Tensor | None, **made: object) -> Holder:
    inner = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, **made)  # type: ignore[arg-type]
    return Holder(inner, lambda one, x: one(x, src_mask=mask))  # type: ignore[operator]


def watched(model: nn.Module, x: Tensor) -> tuple[Tensor, list[AttentionCall], list[Unseen]]:
    calls: list[AttentionCall] = []
    unseen: list[Unseen] = []
    with capture(model, calls.append, unseen.append):
        output = model(x)
    return output, calls, unseen


MODELS: dict[str, tuple[Callable[[], Holder], str]] = {
    "attention": (
        lambda: attention(attn_mask=CAUSAL, need_weights=False),
        "native_multi_head_attention",
    ),
    "attention with weights": (lambda: attention(attn_mask=CAUSAL), "native_multi_head_attention"),
    "layer": (lambda: layer(CAUSAL), "transformer_encoder_layer_fwd"),
    "pre-norm layer": (
        lambda: layer(CAUSAL, norm_first=True, activation="gelu"),
        "transformer_encoder_layer_fwd",
    ),
    "float mask": (
        lambda: layer(torch.zeros(7, 7).masked_fill(CAUSAL, -torch.inf)),
        "transformer_encoder_layer_fwd",
    ),
    "slow path": (
        lambda: attention(attn_mask=CAUSAL.float() * -1e9, need_weights=False),
        "scaled_dot_product_attention",
    ),
    "slow path with weights": (lambda: attention(attn_mask=CAUSAL.float() * -1e9), "softmax"),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_same_kernel_runs_to_the_bit(name: str) -> None:
    make, kernel = MODELS[name]
    model, x = make(), torch.randn(1, 7, 16)
    plain = model(x)
    output, calls, unseen = watched(model, x)
    assert torch.equal(plain, output)
    assert [call.kernel for call in calls] == [kernel]
    assert not unseen


@pytest.mark.parametrize("name", MODELS)
def test_the_record_holds_mask_and_heads(name: str) -> None:
    model, x = MODELS[name][0](), torch.randn(1, 7, 16)
    (call,) = watched(model, x)[1]
    assert call.unexplained is None
    assert call.module == "inner"
    assert call.output.shape == (1, 4, 7, 4)
    open_cells = call.mask.rows(0, 7, 7)[0, 0]
    assert torch.equal(open_cells, ~CAUSAL)


def test_the_heads_give_the_modules_output() -> None:
    """By the module's own projection, as torch documents it."""
    model, x = attention(attn_mask=CAUSAL, need_weights=False), torch.randn(1, 7, 16)
    output, (call,), _ = watched(model, x)
    inner = model.inner
    together = call.output.transpose(1, 2).reshape(1, 7, 16)
    again = functional.linear(together, inner.out_proj.weight, inner.out_proj.bias)  # type: ignore[union-attr, arg-type]
    assert torch.allclose(again, output, atol=1e-6)


def test_a_padding_mask_closes_keys() -> None:
    pads = torch.tensor([[False] * 5 + [True] * 2])
    model = attention(key_padding_mask=pads, need_weights=False)
    (call,) = watched(model, torch.randn(1, 7, 16))[1]
    assert call.mask_form == "padding mask"
    assert call.mask.rows(0, 7, 7)[0, 0].tolist() == [[True] * 5 + [False] * 2] * 7


def test_both_masks_together() -> None:
    pads = torch.tensor([[True] + [False] * 6])
    model = attention(key_padding_mask=pads, attn_mask=CAUSAL, need_weights=False)
    (call,) = watched(model, torch.randn(1, 7, 16))[1]
    assert call.mask_form == "merged masks"
    assert torch.equal(call.mask.rows(0, 7, 7)[0, 0], ~CAUSAL & ~pads)


def test_an_output_that_does_not_follow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that does something else than its arguments say."""
    kernel = torch._native_multi_head_attention

    def wrong(*args: object, **kwargs: object) -> tuple[Tensor, Tensor]:
        output, weights = kernel(*args, **kwargs)  # type: ignore[arg-type]
        return output + 1e-4, weights

    from attnscope.capture.fused import from_fused

    model, x = attention(attn_mask=CAUSAL, need_weights=False), torch.randn(1, 7, 16)
    seen: list[tuple[object, ...]] = []

    def note(*args: object, **kwargs: object) -> tuple[Tensor, Tensor]:
        seen.append(args)
        return wrong(*args, **kwargs)

    monkeypatch.setattr(torch, "_native_multi_head_attention", note)
    output = model(x)
    received = from_fused("_native_multi_head_attention", output, seen[0], {})
    assert received is not None
    assert received.unexplained is not None
    assert "away from what its arguments give" in received.unexplained


def test_hooks_of_the_user_keep_the_slow_path() -> None:
    model, x = layer(CAUSAL), torch.randn(1, 7, 16)
    model.inner.register_forward_hook(lambda *_: None)
    plain = model(x)
    output, calls, _ = watched(model, x)
    assert torch.equal(plain, output)
    assert [call.kernel for call in calls] == ["scaled_dot_product_attention"]


def test_everything_is_put_back() -> None:
    before = (
        nn.TransformerEncoderLayer.modules,
        torch.overrides.has_torch_function,
        functional.has_torch_function,
    )
    model = layer(CAUSAL)
    with pytest.raises(RuntimeError, match="stop"), capture(model, lambda call: None):
        raise RuntimeError("stop")
    after = (
        nn.TransformerEncoderLayer.modules,
        torch.overrides.has_torch_function,
        functional.has_torch_function,
    )
    assert before == after
    assert "modules" not in vars(nn.TransformerEncoderLayer)
