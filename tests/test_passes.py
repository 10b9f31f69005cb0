"""Heads of real models: windows, zoom, and a model that never notices."""

from __future__ import annotations

import pytest
import torch

from attnscope.api import heads, trace_tokens
from attnscope.errors import PromptError, SelectionError
from attnscope.heads_options import HeadsOptions
from attnscope.load import LoadedModel, LoadOptions, load, tokens_from_ids
from attnscope.passes import heads_of
from attnscope.records import Tokens
from tests.tiny import in_memory, tiny


@pytest.fixture(scope="module")
def fable() -> LoadedModel:
    return load(LoadOptions(device="cpu"))


def some(loaded: LoadedModel, count: int) -> Tokens:
    return tokens_from_ids(loaded, [(place * 7) % 50 + 3 for place in range(count)])


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gpt_oss", "bloom"])
def test_the_same_heads_as_a_trace(name: str, backend: str) -> None:
    if backend == "sdpa" and name not in {"gpt2", "llama"}:
        pytest.skip("transformers has no sdpa for it")
    loaded = in_memory(tiny(name, backend))
    tokens = some(loaded, 24)
    found, traced = heads_of(loaded, tokens), trace_tokens(loaded, tokens)
    assert found.unchecked == traced.proof.unchecked
    for ours, right in zip(found.focus, traced.focus, strict=True):
        assert (ours.layer, ours.head, ours.role) == (right.layer, right.head, right.role)
        assert (ours.verified, right.verified) == (True, True)
        for field in ("entropy", "distance", "induction", "duplicate", "first_weight"):
            assert getattr(ours, field) == pytest.approx(getattr(right, field), abs=1e-5)
    assert torch.allclose(found.received.sum(dim=-1), torch.tensor(24.0)) or name == "gpt_oss"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", ["sdpa", "eager"])
def test_no_head_of_a_causal_model_looks_ahead(backend: str, dtype: torch.dtype) -> None:
    loaded = in_memory(tiny("llama", backend).to(dtype))
    found = heads_of(loaded, some(loaded, 30))
    assert {(head.future_weight, head.verified) for head in found.focus} == {(0.0, True)}


def test_a_model_whose_kernel_is_handed_no_mask() -> None:
    loaded = in_memory(tiny("gpt2", "sdpa"))
    for block in loaded.model.transformer.h:
        block.attn.is_causal = False
    found = heads_of(loaded, some(loaded, 30))
    assert all(head.future_weight > 0.01 and head.verified for head in found.focus)


def test_the_model_does_not_notice() -> None:
    loaded = in_memory(tiny("gpt2", "sdpa"))
    ids = some(loaded, 40).ids
    logits: list[torch.Tensor] = []
    handle = loaded.model.register_forward_hook(lambda *a: logits.append(a[2].logits.clone()))
    with torch.no_grad():
        loaded.model(torch.tensor([ids]), use_cache=False, logits_to_keep=1)
    heads_of(loaded, some(loaded, 40), HeadsOptions(views=((0, 0),)))
    handle.remove()
    assert len(logits) == 2
    assert torch.equal(*logits)


def test_windows_are_the_texts_read_apart(fable: LoadedModel) -> None:
    """Means over two windows are those of two texts, and positions go on counting."""
    tokens = some(fable, 100)
    joined = heads_of(fable, tokens, HeadsOptions(window=50))
    assert joined.windows == ((0, 50), (50, 100))
    parts = [
        heads_of(fable, tokens_from_ids(fable, tokens.ids[start : start + 50])) for start in (0, 50)
    ]
    entropy = torch.stack([part.table("entropy") for part in parts]).mean(dim=0)
    torch.testing.assert_close(joined.table("entropy"), entropy)
    torch.testing.assert_close(joined.received, torch.cat([part.received for part in parts], 1))


def test_a_long_text_is_read_in_windows_and_refused_without(fable: LoadedModel) -> None:
    ids = [(place * 7) % 50 + 3 for place in range(700)]
    names = tuple(map(str, ids))
    tokens = Tokens(ids=tuple(ids), texts=names, labels=names, special=(False,) * 700)
    assert heads_of(fable, tokens).windows == ((0, 512), (512, 700))
    with pytest.raises(PromptError, match="has 700 tokens, and 512 are read at once"):
        heads_of(fable, tokens, HeadsOptions(windowed=False))
    with pytest.raises(PromptError, match="positions for 512 tokens, not for a window of 513"):
        heads_of(fable, tokens, HeadsOptions(window=513))


def test_a_zoom_is_exact(fable: LoadedModel) -> None:
    tokens = some(fable, 60)
    whole = heads_of(fable, tokens, HeadsOptions(views=((1, 2),))).views[0]
    part = heads_of(fable, tokens, HeadsOptions(views=((1, -2),), rows=(20, -10), keys=(5, 25)))
    view = part.views[0]
    assert (view.origin, view.pool, view.head) == ((20, 5), 1, 2)
    torch.testing.assert_close(view.weights, whole.weights[20:50, 5:25])


def test_a_zoom_over_windows(fable: LoadedModel) -> None:
    tokens = some(fable, 60)
    options = HeadsOptions(views=((0, 1),), window=25, rows=(20, 30))
    view = heads_of(fable, tokens, options).views[0]
    assert view.weights.shape == (10, 60)
    assert torch.allclose(view.weights.sum(dim=-1), torch.ones(10).double())
    assert (view.weights[:5, 25:] == 0).all()
    assert (view.weights[5:, :25] == 0).all()


def test_a_pooled_heatmap_keeps_all_weight(fable: LoadedModel) -> None:
    ids = [(place * 7) % 50 + 3 for place in range(1300)]
    names = tuple(map(str, ids))
    tokens = Tokens(ids=tuple(ids), texts=names, labels=names, special=(False,) * 1300)
    view = heads_of(fable, tokens, HeadsOptions(views=((0, 0),))).views[0]
    assert view.pool == 3
    assert view.weights.shape == (434, 434)
    assert torch.allclose(view.weights.sum(dim=-1), torch.ones(434).double())
    assert not view.future.any()


def test_only_the_layers_that_are_asked_for(fable: LoadedModel) -> None:
    found = heads_of(fable, some(fable, 20), HeadsOptions(layers=(-1, 0)))
    assert {head.layer for head in found.focus} == {0, 3}
    assert found.layers == (0, 3)
    assert not found.unchecked
    with pytest.raises(SelectionError, match="has no layer 4"):
        heads_of(fable, some(fable, 20), HeadsOptions(layers=(4,)))
    with pytest.raises(SelectionError, match="2:1 is not among the layers asked for"):
        heads_of(fable, some(fable, 20), HeadsOptions(layers=(0,), views=((2, 1),)))
    with pytest.raises(SelectionError, match="rows 30:40 hold no token"):
        heads_of(fable, some(fable, 20), HeadsOptions(views=((0, 0),), rows=(30, 40)))


def test_progress_tells_tokens_done_and_time_left(fable: LoadedModel) -> None:
    said: list[str] = []
    heads_of(fable, some(fable, 60), HeadsOptions(window=30), progress=said.append)
    assert "measuring model.layers.2.self_attn: 15 of 60 tokens, 0 s left" in said
    assert any(": 30 of 60 tokens" in words for words in said)


def test_the_library_takes_keywords(fable: LoadedModel) -> None:
    found = heads("The cat sat on the mat.", model=fable, views=((0, 0),), layers=(0, 1))
    assert found.layers == (0, 1)
    assert len(found.views) == 1
    with pytest.raises(TypeError, match="colour"):
        heads(model=fable, colour=1)  # type: ignore[call-arg]
