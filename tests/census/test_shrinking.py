"""Every registered type is made small, built, and runs; every position moves itself."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedConfig

from attnscope.census.cases import WITHOUT_MODEL, Case, cases
from attnscope.errors import LoadError
from attnscope.experiments.subject import subject_of
from attnscope.load.registered import load_registered, registered_config, registered_types

TOKENS = 23
LARGEST = 12_000_000
"""Parameters: nearly all have fewer than a million; towers for images and sound are larger."""
LAYERS = 20

CASES = cases(registered_types())
MODELS = [case for case in CASES if case.model_type not in WITHOUT_MODEL]
NAMES = [case.key for case in MODELS]


def layers(config: PreTrainedConfig) -> int:
    text = config.get_text_config(decoder=True)
    found = (getattr(text, name, 0) for name in ("num_hidden_layers", "n_layer", "n_layers"))
    return next((number for number in found if isinstance(number, int)), 0)


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS, ids=NAMES)
def test_it_is_small_and_every_position_moves(case: Case) -> None:
    loaded = load_registered(case.model_type, case.fields)
    assert loaded.info.parameters < LARGEST
    assert layers(loaded.model.config) <= LAYERS
    subject = subject_of(loaded)
    ids = subject.draw(TOKENS, 0)
    others = subject.others(ids, 1)
    with torch.no_grad():
        plain = subject.run("plain", ids, ids[:, :0])
        assert plain.shape[0] == TOKENS
        assert bool(torch.isfinite(plain).all())
        for position in range(0, TOKENS, 5):
            changed = ids.clone()
            changed[0, position] = others[0, position]
            moved = (subject.run("plain", changed, ids[:, :0]) - plain).abs().amax(-1)
            assert moved[position] > 1e-4  # of logits of size 1; rounding is 1e-7


@pytest.mark.parametrize("name", sorted(WITHOUT_MODEL))
def test_what_has_no_model_says_why(name: str) -> None:
    """Where this fails, transformers can build it now: take it out of the table."""
    with pytest.raises(LoadError, match=name):
        load_registered(name, {})


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("jamba", {"full_attention", "linear_attention"}),
        ("gemma3n_text", {"sliding_attention", "full_attention"}),
        ("qwen4_exp_text", {"linear_attention", "indexed_attention"}),
        ("bamba", {"linear_attention", "full_attention"}),
        ("lfm2_moe", {"conv", "full_attention"}),
    ],
)
def test_kinds_of_layers_are_kept(name: str, kinds: set[str]) -> None:
    fields = next(case.fields for case in CASES if case.key == name)
    config = registered_config(name, fields)
    found = config.get_text_config(decoder=True).layer_types
    assert kinds <= {*found}


def test_layers_that_share_their_keys_stay_the_last_ones() -> None:
    config = registered_config("gemma3n_text", {})
    assert config.num_hidden_layers == 6
    assert config.num_kv_shared_layers == 2
    shared = config.layer_types[-config.num_kv_shared_layers :]
    assert {*shared} <= {*config.layer_types[: -config.num_kv_shared_layers]}


def test_layers_that_differ_alone_keep_their_proportion() -> None:
    config = registered_config("dots3_note_text", {})
    single = [config.per_layer_config[layer] for layer in range(config.num_hidden_layers)]
    assert {one.num_attention_heads for one in single} == {4, 2}
    assert {one.kv_lora_rank for one in single} == {16, 32}
