"""Another mask in a live model: the same numbers as a reference, and everything put back."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from attnscope.errors import CaptureError
from attnscope.experiments import exchange, remask
from attnscope.experiments.exchange import masked_as
from attnscope.experiments.remask import compare_losses
from attnscope.experiments.subject import Cost, Subject
from attnscope.expressions import parse
from attnscope.faults import parts
from attnscope.masks import Mask, causal, everything
from attnscope.measure.mask_map import MaskMaps
from attnscope.records import CELL_FUTURE_SEEN, AttentionCall
from tests.tiny import tiny

IDS = list(range(5, 15))


def subject_of(model: nn.Module) -> Subject:
    return Subject(model, range(5, 97), Cost(lambda forwards: None))


def logits(subject: Subject, mask: Mask | None = None) -> torch.Tensor:
    ids = torch.tensor([IDS])
    if mask is None:
        return subject.run("plain", ids, ids[:, :0])
    with masked_as(subject, mask, len(IDS)):
        return subject.run("plain", ids, ids[:, :0])


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_oss", "bloom", "gpt_neo", "falcon"])
@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_every_kernel_gets_the_mask(name: str, backend: str) -> None:
    try:
        subject = subject_of(tiny(name, backend=backend))
    except ValueError:
        pytest.skip(f"{name} has no {backend}")
    before = logits(subject)
    maps = MaskMaps()
    with masked_as(subject, everything(), len(IDS), watch=maps.add):
        prompt = torch.tensor([IDS])
        subject.run("plain", prompt, prompt[:, :0])
    if parts.attentions(subject.model):  # elsewhere the kernel runs first, with its own mask
        assert all((one.cells & CELL_FUTURE_SEEN).any() for one in maps.result())
    unmasked = logits(subject, everything())
    assert (unmasked - before).abs().max() > 0.01
    assert torch.equal(logits(subject), before)


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_a_models_own_mask_changes_nothing(name: str) -> None:
    subject = subject_of(tiny(name, backend="eager"))
    own = causal() if name == "llama" else parse("sliding:8").mask(len(IDS))
    assert torch.equal(logits(subject, own), logits(subject))


@pytest.mark.parametrize("name", ["bloom", "falcon"])
def test_outside_the_interface_the_reference_stands_in(name: str) -> None:
    subject = subject_of(tiny(name))
    torch.testing.assert_close(logits(subject, causal()), logits(subject), atol=1e-4, rtol=0)


class OwnAttention(nn.Module):
    """Stands in a Llama's layer for its attention, and calls sdpa itself."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden_states: torch.Tensor, **rest: Any) -> tuple[torch.Tensor, None]:
        shape = (*hidden_states.shape[:2], -1, self.inner.head_dim)
        query, key, value = (
            one(hidden_states).view(shape).transpose(1, 2)
            for one in (self.inner.q_proj, self.inner.k_proj, self.inner.v_proj)
        )
        key, value = (one.repeat_interleave(2, dim=1) for one in (key, value))
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.inner.o_proj(attended.transpose(1, 2).flatten(2)), None


def mixed_llama() -> nn.Module:
    """Layer 0 attends through transformers' interface, layer 1 on its own."""
    model = tiny("llama")
    model.model.layers[1].self_attn = OwnAttention(model.model.layers[1].self_attn)
    return model


@pytest.mark.parametrize("text", ["bidirectional", "prefix:3", "sliding:2", "row:4"])
def test_a_layer_outside_the_interface_is_reached_too(text: str) -> None:
    subject, mask = subject_of(mixed_llama()), parse(text).mask(len(IDS))
    logits(subject, mask)
    moved: list[torch.Tensor] = []
    changed = [*IDS[:-1], 60]
    for ids in (IDS, changed):
        prompt = torch.tensor([ids])
        with masked_as(subject, mask, len(IDS)):
            moved.append(subject.run("plain", prompt, prompt[:, :0]))
    reached = bool((moved[0][:-1] != moved[1][:-1]).any())
    assert reached == (text in {"bidirectional", "row:4"})


def test_what_is_not_reached_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(tiny("llama"))
    monkeypatch.setattr(
        exchange, "run", lambda attention, call, **_: attention(*call.args, **call.kwargs)
    )
    with pytest.raises(CaptureError, match=r"layers\.0\.self_attn was handed another one"):
        logits(subject, everything())


class Deaf(nn.Module):
    """Computes attention beside what it returns."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = OwnAttention(inner)

    def forward(self, hidden_states: torch.Tensor, **rest: Any) -> tuple[torch.Tensor, None]:
        self.inner(hidden_states)
        return hidden_states, None


def test_what_is_not_read_is_an_error() -> None:
    model = tiny("llama")
    model.model.layers[0].self_attn = Deaf(model.model.layers[0].self_attn)
    with pytest.raises(CaptureError, match="what is written is not read"):
        logits(subject_of(model), everything())


def test_biases_that_share_a_tensor_with_the_mask_are_told() -> None:
    """Falcon adds ALiBi and mask in one tensor: what hidden keys would have is not known."""
    subject = subject_of(tiny("falcon", backend="sdpa", alibi=True))
    with pytest.raises(CaptureError, match="position biases"):
        logits(subject, everything())
    with pytest.raises(CaptureError, match="position biases"):
        logits(subject, parse("prefix:4").mask(len(IDS)))
    logits(subject, parse("sliding:3").mask(len(IDS)))  # opens nothing


def test_logits_that_are_no_numbers_are_told() -> None:
    model = tiny("llama")
    model.model.layers[1].self_attn.v_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(CaptureError, match="no numbers"):
        compare_losses(subject_of(model), IDS, everything(), None)


def test_experts_that_cannot_be_computed_apart_have_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remask, "batched_experts", lambda model: nullcontext(False))
    leak = compare_losses(subject_of(tiny("mixtral")), IDS, everything(), None).leak
    assert 0 < leak.own_limit < 1e-2
    assert leak.own_move <= leak.own_limit < leak.other_move


def test_no_attention_is_told() -> None:
    with pytest.raises(CaptureError, match="it has no mask that could be taken"):
        logits(subject_of(tiny("mamba")), everything())


def test_what_is_not_understood_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = exchange._Ledger.add

    def lost(self: Any, call: AttentionCall) -> None:
        real(self, replace(call, query=None, key=None))

    monkeypatch.setattr(exchange._Ledger, "add", lost)
    with pytest.raises(CaptureError, match="are not understood"):
        logits(subject_of(tiny("bloom")), everything())


def test_an_exception_inside_leaves_nothing_behind() -> None:
    for name in ("llama", "bloom"):
        subject = subject_of(tiny(name))
        before = logits(subject)
        with pytest.raises(KeyError), masked_as(subject, everything(), len(IDS)):
            raise KeyError
        assert torch.equal(logits(subject), before)


def test_losses_are_cross_entropies() -> None:
    subject = subject_of(tiny("llama"))
    whole = compare_losses(subject, IDS, everything(), None)
    target = torch.tensor(IDS[1:])
    for guesses, run in (
        (whole.own, logits(subject)),
        (whole.other, logits(subject, everything())),
    ):
        expected = nn.functional.cross_entropy(run[:-1].double(), target, reduction="none")
        torch.testing.assert_close(
            torch.tensor([one.loss for one in guesses], dtype=torch.float64), expected
        )
        assert [one.token for one in guesses] == run[:-1].argmax(-1).tolist()
    assert math.isclose(whole.own_loss, sum(one.loss for one in whole.own) / len(whole.own))


@pytest.mark.parametrize("name", ["llama", "mixtral", "gpt_oss"])
def test_an_answer_leaks_without_the_mask_and_never_with_it(name: str) -> None:
    """Experts must not fake a leak by rounding."""
    leak = compare_losses(subject_of(tiny(name)), IDS, everything(), None).leak
    assert leak.own_move == 0.0
    assert leak.other_move > 0.01
    assert leak.tried == 8
    assert 0 <= leak.before <= 1
    assert 0 <= leak.after <= 1


def test_the_leak_is_looked_for_where_the_mask_shows_the_answer() -> None:
    whole = compare_losses(subject_of(tiny("llama")), IDS, parse("row:4").mask(len(IDS)), None)
    assert whole.leak.position == 4
    assert whole.leak.other_move > 0
    narrow = compare_losses(subject_of(tiny("llama")), IDS, parse("sliding:2").mask(len(IDS)), None)
    assert narrow.leak.own_move == narrow.leak.other_move == 0.0
