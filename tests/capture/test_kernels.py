"""FlexAttention and FlashAttention, which no torch function shows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations import flash_attention

from attnscope.capture import capture
from attnscope.capture.kernels import replaced
from attnscope.measure.focus import tally
from attnscope.records import AttentionCall
from tests.tiny import tiny

IDS = torch.arange(5, 26)[None]


def fake_flash(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> Tensor:
    """What a flash kernel computes from its arguments, by torch's own kernel."""
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    rows, columns = torch.arange(query.shape[2])[:, None], torch.arange(key.shape[2])
    allowed = columns <= rows
    if options.get("sliding_window"):
        allowed = allowed & (columns > rows - options["sliding_window"])
    allowed = allowed[None, None]
    if attention_mask is not None:
        allowed = allowed & attention_mask.bool()[:, None, None, :]
    output = scaled_dot_product_attention(
        query, key, value, attn_mask=allowed, scale=options.get("softmax_scale"), enable_gqa=True
    )
    return output.transpose(1, 2)


def flash_calls(name: str, monkeypatch: pytest.MonkeyPatch, **inputs: Any) -> list[AttentionCall]:
    monkeypatch.setattr(flash_attention, "_flash_attention_forward", fake_flash)
    model = tiny(name)
    model.config._attn_implementation = "flash_attention_2"
    calls: list[AttentionCall] = []
    with torch.no_grad(), capture(model, calls.append):
        model(IDS, **inputs)
    return calls


@pytest.mark.parametrize(("name", "words"), [("llama", "is_causal"), ("mistral", "window 8")])
def test_flash(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = flash_calls(name, monkeypatch)
    assert calls
    for call in calls:
        assert call.kernel == "flash_attention"
        assert words in call.mask_form
        heads = tally(call, IDS[0]).result()
        assert all(head.verified and head.future_weight == 0.0 for head in heads)


def test_flash_with_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.ones_like(IDS)
    real[0, :4] = 0
    (call, *_) = flash_calls("llama", monkeypatch, attention_mask=real)
    assert "padding" in call.mask_form
    allowed = call.mask.rows(4, 21, 21)[0, 0]
    assert not allowed[:, :4].any()
    assert torch.equal(allowed[:, 4:], torch.ones(17, 17).tril().bool())


@pytest.mark.slow
def test_flex_is_read_from_its_block_mask_and_score_mod() -> None:
    model = tiny("gemma2", "flex_attention")
    calls: list[AttentionCall] = []
    with torch.no_grad(), capture(model, calls.append):
        model(IDS)
    call = calls[0]
    assert (call.kernel, call.mask_form) == ("flex_attention", "BlockMask")
    assert call.score_mod is not None  # the softcap
    assert call.offered is not None
    assert call.offered.softcap == pytest.approx(50.0)
    assert all(head.verified for head in tally(call, IDS[0]).result())


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0, 1])
def test_a_leak_in_a_block_mask_is_seen_and_reproduced(ahead: int) -> None:
    """A mask that lets each query see one key more, handed to flex through the model."""
    size = IDS.shape[1]
    block_mask = create_block_mask(
        lambda b, h, q, k: k <= q + ahead, 1, None, size, size, device="cpu"
    )
    model = tiny("llama", "flex_attention")
    calls: list[AttentionCall] = []
    with torch.no_grad(), capture(model, calls.append):
        model(IDS, attention_mask=block_mask)
    for call in calls:
        heads = tally(call, IDS[0]).result()
        assert all(head.verified for head in heads)
        assert all((head.future_weight > 0) is bool(ahead) for head in heads)


def test_replaced_puts_back_what_was_there() -> None:
    class Parent:
        inherited = 1

    class Child(Parent):
        own = 2

    with replaced(Child, "inherited", 3), replaced(Child, "own", 4):
        assert (Child.inherited, Child.own) == (3, 4)
    assert (Child.inherited, Child.own) == (1, 2)
    assert "inherited" not in vars(Child)


def test_an_unseen_kernel_is_judged_by_its_output() -> None:
    """A kernel that no spy knows: the offered arguments stand in, and must reproduce its output."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    reach = {"ahead": 0}

    def own(module, query, key, value, attention_mask, scaling=None, **kwargs):  # type: ignore[no-untyped-def]
        groups = query.shape[1] // key.shape[1]
        output = compiled(
            query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1),
            float(scaling), reach["ahead"],
        )  # fmt: skip
        return output.transpose(1, 2).contiguous(), None

    AttentionInterface.register("own", own)
    AttentionMaskInterface.register("own", sdpa_mask)
    try:
        for ahead, right in ((0, True), (1, False)):
            reach["ahead"] = ahead
            model = tiny("llama")
            model.config._attn_implementation = "own"
            calls: list[AttentionCall] = []
            with torch.no_grad(), capture(model, calls.append):
                model(IDS)
            assert not calls[0].witnessed
            assert "not seen" in calls[0].mask_form
            heads = tally(calls[0], IDS[0]).result()
            assert all(head.verified is right for head in heads)
    finally:
        del AttentionInterface._global_mapping["own"]
        del AttentionMaskInterface._global_mapping["own"]


@torch.jit.script
def compiled(query: Tensor, key: Tensor, value: Tensor, scale: float, ahead: int) -> Tensor:
    size = query.shape[2]
    later = torch.ones(size, size, dtype=torch.bool, device=query.device).triu(1 + ahead)
    scores = (torch.matmul(query, key.transpose(2, 3)) * scale).masked_fill(later, -1e9)
    return torch.matmul(torch.softmax(scores, dim=-1), value)
