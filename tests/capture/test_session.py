"""The capture changes nothing, and leaves nothing behind."""

from __future__ import annotations

import threading

import pytest
import torch
import transformers
from transformers.integrations import flash_attention, flex_attention
from transformers.modeling_utils import AttentionInterface

from attnscope.capture import capture
from attnscope.errors import CaptureError
from attnscope.measure.focus import tally
from attnscope.records import AttentionCall
from attnscope.shrink import build, shrink
from tests.tiny import tiny

IDS = torch.arange(5, 17)[None]


def state(model: torch.nn.Module) -> tuple[object, ...]:
    """Everything that a capture touches."""
    hooks = sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )
    return (
        hooks,
        model.training,
        model.config._attn_implementation,
        AttentionInterface.get_interface,
        "__getitem__" in vars(AttentionInterface),
        flex_attention.compile_friendly_flex_attention,
        flash_attention._flash_attention_forward,
        len(torch.overrides._get_current_function_mode_stack()),
    )


@pytest.mark.parametrize("name", ["llama", "bloom"])
@pytest.mark.parametrize("where", ["model", "consumer", "body"])
def test_everything_is_restored_after_an_exception(name: str, where: str) -> None:
    model = tiny(name, "eager")
    before = state(model)
    with torch.no_grad():
        expected = model(IDS).logits
    broken = model.get_submodule("lm_head")

    def fail(*args: object) -> None:
        raise RuntimeError("planted")

    def run() -> None:
        with torch.no_grad(), capture(model, fail if where == "consumer" else lambda call: None):
            model(IDS)
            fail()

    handle = broken.register_forward_hook(fail) if where == "model" else None
    with pytest.raises(RuntimeError, match="planted"):
        run()
    if handle:
        handle.remove()
    assert state(model) == before
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, expected)


@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_an_exception_of_the_consumer_ends_the_forward_pass(name: str) -> None:
    """Inside the interface and outside it: nothing may take it for trouble of the spy's own."""
    model = tiny(name, "eager")

    def fail(call: AttentionCall) -> None:
        raise torch.OutOfMemoryError("planted")

    with pytest.raises(torch.OutOfMemoryError), torch.no_grad(), capture(model, fail):
        model(IDS)


def test_a_second_capture_says_so_and_does_not_disturb_the_first() -> None:
    model = tiny("llama")
    calls: list[AttentionCall] = []
    with torch.no_grad(), capture(model, calls.append):
        with pytest.raises(CaptureError, match="Another capture"), capture(model, calls.append):
            pass
        model(IDS)
    assert len(calls) == model.config.num_hidden_layers
    with capture(model, calls.append):
        pass  # and afterwards the way is free again


def test_calls_of_other_threads_run_untouched_and_unrecorded() -> None:
    model, other = tiny("llama", "eager"), tiny("llama", "eager", seed=1)
    with torch.no_grad():
        expected = other(IDS).logits
    results: list[torch.Tensor] = []
    calls: list[AttentionCall] = []

    def run() -> None:
        with torch.no_grad():
            results.append(other(IDS).logits)

    with capture(model, calls.append):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert torch.equal(results[0], expected)
    assert calls == []


def test_capture_keeps_the_models_backend_and_its_mask() -> None:
    """sdpa without a mask tensor stays sdpa without a mask tensor: is_causal is the witness."""
    calls: list[AttentionCall] = []
    model = tiny("llama", "sdpa")
    with torch.no_grad(), capture(model, calls.append):
        model(IDS)
    call = calls[0]
    assert call.kernel == "scaled_dot_product_attention"
    assert call.mask_form == "is_causal"
    assert call.offered is not None
    assert (call.offered.implementation, call.offered.mask) == ("sdpa", None)
    assert call.module == "model.layers.0.self_attn"
    assert torch.equal(call.mask.rows(0, 12, 12)[0, 0], torch.ones(12, 12).tril().bool())


def test_left_padding_is_seen_as_delivered() -> None:
    real = torch.ones_like(IDS)
    real[0, :3] = 0
    for backend in ("eager", "sdpa"):
        calls: list[AttentionCall] = []
        with torch.no_grad(), capture(model := tiny("llama", backend), calls.append):
            model(IDS, attention_mask=real)
        allowed = calls[0].mask.rows(3, 12, 12)[0, 0]
        assert not allowed[:, :3].any()
        assert torch.equal(allowed[:, 3:], torch.ones(9, 9).tril().bool())


def test_a_mask_dropped_inside_the_kernel_is_seen() -> None:
    """The model offers a causal mask and a broken kernel forgets it: the kernel is the witness."""
    import transformers.models.llama.modeling_llama as llama

    original = llama.eager_attention_forward

    def forgetful(module, query, key, value, attention_mask, **kwargs):  # type: ignore[no-untyped-def]
        return original(module, query, key, value, None, **kwargs)

    calls: list[AttentionCall] = []
    model = tiny("llama", "eager")
    llama.eager_attention_forward = forgetful
    try:
        with torch.no_grad(), capture(model, calls.append):
            model(IDS)
    finally:
        llama.eager_attention_forward = original
    assert calls[0].offered is not None
    assert calls[0].offered.mask is not None
    assert calls[0].mask_form == "none"
    assert calls[0].mask.rows(0, 12, 12).all()


def test_gradients_flow_as_before() -> None:
    model = tiny("llama", "eager")
    gradients = []
    for watched in (False, True):
        model.zero_grad()
        if watched:
            with capture(model, lambda call: None):
                model(IDS).logits.sum().backward()
        else:
            model(IDS).logits.sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_a_compiled_model_is_refused_in_words() -> None:
    model = torch.compile(tiny("llama"))
    with pytest.raises(CaptureError, match="is compiled"), capture(model, lambda call: None):
        pass


def test_a_consumer_may_run_the_model_itself() -> None:
    model = tiny("llama", "eager")
    calls: list[AttentionCall] = []

    def consume(call: AttentionCall) -> None:
        calls.append(call)
        model(IDS)

    with torch.no_grad(), capture(model, consume):
        model(IDS)
    assert len(calls) == model.config.num_hidden_layers


def test_layers_are_numbered_by_the_longest_list() -> None:
    from attnscope.capture.modules import ModuleStack

    model = torch.nn.Module()
    model.blocks = torch.nn.ModuleList([torch.nn.Module(), torch.nn.Module()])
    model.blocks[0].layers = torch.nn.ModuleList([torch.nn.Linear(1, 1) for _ in range(5)])
    stack = ModuleStack(model)
    assert stack.layer("blocks.0.layers.3") == 3
    assert stack.layer("blocks.1") == 1
    assert stack.layer("lm_head") is None


def test_sinks_applied_after_the_kernel_are_seen() -> None:
    """Granite's sinks are a factor on the output instead of a column of scores."""
    config = getattr(transformers, "GraniteSWAConfig", None)
    if config is None:
        pytest.skip("this transformers has no Granite with sinks")
    model = build(shrink(config()), backend="eager")
    calls: list[AttentionCall] = []
    with torch.no_grad(), capture(model, calls.append):
        model(IDS)
    heads = [head for call in calls for head in tally(call, IDS[0]).result()]
    assert any(call.sinks is not None for call in calls)
    assert all(head.verified for head in heads)
