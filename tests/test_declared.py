"""What a layer is declared to see: from a user's words, from configs, as transformers does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import masking_utils

from attnscope.declared import Declared, declare, parse_expect
from attnscope.errors import SelectionError

SIZES = st.integers(1, 40)
CAUSAL = Declared()


@pytest.mark.parametrize(
    ("text", "kind", "size", "words"),
    [
        ("causal", "causal", 0, "causal"),
        (" bidirectional ", "bidirectional", 0, "bidirectional"),
        ("sliding:8", "sliding", 8, "sliding window of 8"),
        ("chunked:128", "chunked", 128, "chunks of 128"),
        ("prefix:1", "prefix", 1, "prefix of 1, then causal"),
    ],
)
def test_what_a_user_expects(text: str, kind: str, size: int, words: str) -> None:
    found = parse_expect(text)
    assert (found.kind, found.size, found.words, found.exact) == (kind, size, words, True)


@pytest.mark.parametrize(
    "text",
    ["", "sliding", "sliding:", "sliding:0", "sliding:-1", "sliding:08", "sliding:1e3", "causal:3",
     "sliding: 8", "Causal", "window:8", "prefix:9999999999", "causal\nbidirectional", "x" * 500],
)  # fmt: skip
def test_what_is_not_understood_is_told_with_what_would_be(text: str) -> None:
    with pytest.raises(SelectionError) as told:
        parse_expect(text)
    assert "sliding:W" in told.value.hint
    assert len(told.value.message) < 80


def layers_of(config: Any, layers: int | None = None) -> tuple[Declared, ...]:
    text = config.get_text_config(decoder=True)
    return declare(text, layers or text.num_hidden_layers)


def test_plain_models_are_causal() -> None:
    assert layers_of(transformers.LlamaConfig(num_hidden_layers=3)) == (CAUSAL,) * 3
    assert layers_of(transformers.GPT2Config(), 12) == (CAUSAL,) * 12


def test_one_window_for_all_layers() -> None:
    config = transformers.MistralConfig(num_hidden_layers=2, sliding_window=7)
    assert layers_of(config) == (Declared(kind="sliding", size=7),) * 2
    none = transformers.MistralConfig(num_hidden_layers=2, sliding_window=None)
    assert layers_of(none) == (CAUSAL,) * 2


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (transformers.Gemma2Config, "sf"),
        (transformers.Gemma3TextConfig, "sssssf"),
        (transformers.GptOssConfig, "sf"),
    ],
)
def test_windows_alternate_as_layer_types_say(make: Any, kinds: str) -> None:
    config = make(sliding_window=16)
    found = layers_of(config)
    assert len(found) == config.num_hidden_layers
    window = Declared(kind="sliding", size=16)
    assert found[: len(kinds)] == tuple(window if kind == "s" else CAUSAL for kind in kinds)


def test_chunks_of_llama4() -> None:
    config = transformers.Llama4TextConfig(num_hidden_layers=4, attention_chunk_size=32)
    chunk = Declared(kind="chunked", size=32)
    assert layers_of(config) == (chunk, chunk, chunk, CAUSAL)


def test_a_window_that_is_switched_off_is_none() -> None:
    off = transformers.Qwen3Config(
        num_hidden_layers=2, use_sliding_window=False, sliding_window=8, max_window_layers=0
    )
    on = transformers.Qwen3Config(
        num_hidden_layers=2, use_sliding_window=True, sliding_window=8, max_window_layers=1
    )
    assert layers_of(off) == (CAUSAL, CAUSAL)
    assert layers_of(on) == (CAUSAL, Declared(kind="sliding", size=8))


def test_gpt_neo_names_its_layers_global_and_local() -> None:
    config = transformers.GPTNeoConfig(
        num_layers=4, attention_types=[[["global", "local"], 2]], window_size=8
    )
    window = Declared(kind="sliding", size=8)
    assert layers_of(config, 4) == (CAUSAL, window, CAUSAL, window)


def test_in_hybrids_only_full_attention_is_declared_exactly() -> None:
    config = transformers.Qwen3NextConfig(num_hidden_layers=4)
    assert [one.exact for one in layers_of(config)] == [False, False, False, True]
    assert {one.kind for one in layers_of(config)} == {"causal"}
    assert {one.kind for one in layers_of(transformers.JambaConfig())} == {"causal"}


def test_a_bidirectional_gemma_says_so_in_its_config() -> None:
    config = transformers.Gemma3TextConfig(num_hidden_layers=6, use_bidirectional_attention=True)
    assert {one.kind for one in layers_of(config)} == {"bidirectional"}


def test_layers_that_pick_keys_by_content_are_not_declared_exactly() -> None:
    assert not any(one.exact for one in layers_of(transformers.BigBirdConfig(), 12))
    full = transformers.BigBirdConfig(attention_type="original_full")
    assert all(one.exact for one in layers_of(full, 12))


def cells(declared: Declared, tokens: int) -> torch.Tensor:
    return declared.mask().rows(0, tokens, tokens)[0, 0]


def theirs(predicate: Any, tokens: int) -> torch.Tensor:
    place = torch.arange(tokens)
    nothing = torch.zeros((), dtype=torch.long)
    told: torch.Tensor = predicate(nothing, nothing, place[:, None], place[None, :])
    return told.expand(tokens, tokens)


@settings(deadline=None)
@given(SIZES, SIZES)
def test_windows_are_those_of_transformers(tokens: int, window: int) -> None:
    found = cells(Declared(kind="sliding", size=window), tokens)
    assert torch.equal(
        found, theirs(masking_utils.sliding_window_causal_mask_function(window), tokens)
    )


@settings(deadline=None)
@given(SIZES, SIZES)
def test_chunks_are_those_of_transformers(tokens: int, size: int) -> None:
    found = cells(Declared(kind="chunked", size=size), tokens)
    expected = masking_utils.chunked_causal_mask_function(size, torch.zeros(1, dtype=torch.long))
    assert torch.equal(found, theirs(expected, tokens))


@settings(deadline=None)
@given(SIZES, SIZES)
def test_a_prefix_is_causal_or_within_the_prefix(tokens: int, length: int) -> None:
    found = cells(Declared(kind="prefix", size=length), tokens)
    expected = masking_utils.or_masks(
        masking_utils.causal_mask_function, lambda batch, head, query, key: key < length
    )
    assert torch.equal(found, theirs(expected, tokens))


@settings(deadline=None)
@given(SIZES, SIZES, st.sampled_from(["causal", "sliding", "chunked", "prefix"]))
def test_an_offset_shifts_the_queries_only(tokens: int, offset: int, kind: Any) -> None:
    declared = Declared(kind=kind, size=5)
    whole = cells(declared, tokens + offset)
    later = declared.mask(offset).rows(0, tokens, tokens + offset)[0, 0]
    assert torch.equal(later, whole[offset:])


def test_what_is_narrow_and_what_is_wide() -> None:
    narrow = [kind for kind in ("causal", "sliding", "chunked", "prefix", "bidirectional")
              if Declared(kind=kind, size=4).narrow]  # fmt: skip
    assert narrow == ["sliding", "chunked"]
    assert cells(Declared(kind="bidirectional"), 4).all()
    assert Declared(exact=False).words == "causal, or less by design"


def test_a_config_that_counts_no_layers_declares_causality_and_no_more() -> None:
    """BLT is made of four models, whose layers have windows of their own."""
    assert declare(transformers.BltConfig(), 2) == (Declared(exact=False),) * 2
    assert declare(transformers.LlamaConfig(), 1) == (CAUSAL,)
