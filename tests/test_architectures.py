"""The acceptance matrix: real architectures from disk, each backend that runs here.

Where a backend does not run, the library's own reason is asserted, so that a silent skip cannot
pass for a check.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import Gemma2PreTrainedModel

from attnscope.api import trace_tokens
from attnscope.capture import capture
from attnscope.capture.runs import forward
from attnscope.errors import AttnscopeError
from attnscope.load import LoadedModel, LoadOptions, load, tokens_from_ids
from attnscope.masks import Mask
from attnscope.measure.attention import output_rows, weight_rows
from attnscope.measure.focus import tally
from attnscope.measure.rounding import ROUNDING_FACTOR
from attnscope.records import AttentionCall
from tests.calls import weights_of
from tests.tiny import TINY, save_tiny

LENGTH = 21
"""More than two windows of 8, and no multiple of it."""

BACKENDS = ("eager", "sdpa", pytest.param("flex_attention", marks=pytest.mark.slow))

REASONS = {
    ("gemma2", "sdpa"): "does not support",
    ("gpt_oss", "sdpa"): "does not support",
    ("bloom", "sdpa"): "does not support",
    ("gpt_neo", "sdpa"): "does not support",
    ("mamba", "sdpa"): "does not support",
    ("gpt2", "flex_attention"): "does not support",
    ("gpt_oss", "flex_attention"): "Attention sinks cannot be run on CPU",
    ("bloom", "flex_attention"): "does not support",
    ("gpt_neo", "flex_attention"): "does not support",
    ("falcon", "flex_attention"): "does not support",
    ("mamba", "flex_attention"): "does not support",
}

if Gemma2PreTrainedModel._supports_sdpa:  # older releases ran it, and dropped the softcap
    del REASONS["gemma2", "sdpa"]


SEVERAL_BACKENDS = ("gpt2", "llama", "mistral", "gemma2", "mixtral", "qwen3", "falcon")


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_tiny(name, tmp_path_factory.mktemp(name)) for name in TINY}


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    # past its recompile limit flex silently runs something else
    torch._dynamo.reset()


def ids() -> list[int]:
    return torch.randint(5, 90, (LENGTH,), generator=torch.Generator().manual_seed(3)).tolist()


def calls_of(loaded: LoadedModel) -> list[AttentionCall]:
    calls: list[AttentionCall] = []
    with capture(loaded.model, calls.append):
        forward(loaded.model, ids())
    return calls


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TINY)
def test_traced(name: str, backend: str, directories: dict[str, Path]) -> None:
    options = LoadOptions(model=str(directories[name]), device="cpu", backend=backend)
    if (name, backend) in REASONS:
        with pytest.raises(AttnscopeError, match=REASONS[name, backend]):
            trace_tokens(loaded := load(options), tokens_from_ids(loaded, ids()))
        return
    loaded = load(options)
    trace = trace_tokens(loaded, tokens_from_ids(loaded, ids()))
    if name == "mamba":
        assert not trace.focus
        assert "no attention" in trace.notes[0]
        return
    assert trace.proof.verified
    assert trace.proof.future_max == 0.0
    assert trace.proof.future_cells == len(trace.focus) * LENGTH * (LENGTH - 1) // 2
    calls = calls_of(loaded)
    assert [call.layer for call in calls] == list(range(trace.model.layers))
    for call in calls:
        _assert_recomputed(call)


def _assert_recomputed(call: AttentionCall) -> None:
    """Inside c · eps · sqrt(d) · max|value| as it is; a mask shifted by one is past the limit."""
    assert call.query is not None
    rows = weight_rows(call, 0, call.queries)
    gap = (output_rows(call, rows) - call.output[0].double()).abs().amax(dim=(-1, -2))
    largest = call.value[0].double().abs().amax(dim=(-1, -2))
    largest = largest.repeat_interleave(call.heads // call.value.shape[1])
    eps, width = torch.finfo(call.query.dtype).eps, call.query.shape[-1]
    assert (gap <= ROUNDING_FACTOR * eps * width**0.5 * largest).all()
    mask = call.mask
    shifted = Mask(
        predicate=lambda b, h, q, k: mask.predicate(b, h, (q - 1).clamp(min=0), k) & (q > 0),
        batches=mask.batches,
        heads=mask.heads,
    )
    heads = tally(replace(call, mask=shifted), torch.arange(call.keys)).result()
    assert all(head.rounding > 1000 and not head.verified for head in heads)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TINY)
def test_logits_are_bit_identical(name: str, backend: str, directories: dict[str, Path]) -> None:
    if (name, backend) in REASONS:
        pytest.skip(REASONS[name, backend])
    loaded = load(LoadOptions(model=str(directories[name]), device="cpu", backend=backend))
    inputs = torch.tensor([ids()])
    with torch.no_grad():
        before = loaded.model(inputs).logits
        with capture(loaded.model, lambda call: None):
            during = loaded.model(inputs).logits
        after = loaded.model(inputs).logits
    assert torch.equal(before, during)
    assert torch.equal(before, after)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TINY)
def test_all_is_as_before_after_an_exception(
    name: str, backend: str, directories: dict[str, Path]
) -> None:
    if (name, backend) in REASONS:
        pytest.skip(REASONS[name, backend])
    model = load(LoadOptions(model=str(directories[name]), device="cpu", backend=backend)).model
    inputs = torch.tensor([ids()])

    def fail(*args: object) -> None:
        raise RuntimeError("planted")

    with torch.no_grad():
        before = model(inputs).logits
        handle = model.get_output_embeddings().register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="planted"), capture(model, lambda call: None):
            model(inputs)
        handle.remove()
        assert torch.equal(model(inputs).logits, before)
    hooks = [module._forward_hooks or module._forward_pre_hooks for module in model.modules()]
    assert not any(hooks)
    assert model.config._attn_implementation == backend


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVERAL_BACKENDS)
def test_weights_are_the_same_on_every_backend(name: str, directories: dict[str, Path]) -> None:
    weights = {}
    for backend in ("eager", "sdpa", "flex_attention"):
        if (name, backend) not in REASONS:
            torch._dynamo.reset()
            loaded = load(LoadOptions(model=str(directories[name]), device="cpu", backend=backend))
            weights[backend] = torch.stack([weights_of(call) for call in calls_of(loaded)])
    assert len(weights) >= 2
    for other in weights.values():
        torch.testing.assert_close(other, weights["eager"], rtol=0, atol=1e-4)


def test_eager_and_sdpa_give_the_same_weights(directories: dict[str, Path]) -> None:
    for name in ("llama", "mistral", "falcon"):
        both = [
            torch.stack([weights_of(call) for call in calls_of(loaded)])
            for backend in ("eager", "sdpa")
            for loaded in [load(LoadOptions(model=str(directories[name]), backend=backend))]
        ]
        torch.testing.assert_close(both[0], both[1], rtol=0, atol=1e-4)


def test_what_each_architecture_is_about_is_seen(directories: dict[str, Path]) -> None:
    """Windows, softcaps, sinks, grouped heads and ALiBi reach the record."""

    def calls(name: str) -> list[AttentionCall]:
        return calls_of(load(LoadOptions(model=str(directories[name]), backend="eager")))

    assert calls("llama")[0].value.shape[1] < calls("llama")[0].heads
    assert weights_of(calls("mistral")[0])[0, -1].count_nonzero() <= 8
    gemma = calls("gemma2")
    assert gemma[0].softcap == pytest.approx(50.0)
    seen = [int(weights_of(call)[0, -1].count_nonzero()) for call in gemma[:2]]
    assert min(seen) < max(seen) == LENGTH
    assert calls("gpt_oss")[0].sinks is not None
    assert len(calls("bloom")[0].bias) == 2  # ALiBi and the mask
    assert calls("gpt_neo")[0].scale == 1.0
