"""One model, and every piece of evidence, measured once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from attnscope.checks.influence import FutureInfluence, ModuleInfluence
from attnscope.declared import Declared
from attnscope.errors import CaptureError
from attnscope.experiments import lengths
from attnscope.experiments.laboratory import Laboratory
from attnscope.experiments.subject import Cost, Subject
from attnscope.shrink import build, shrink
from tests.experiments.models import Stack, next_one, over_rows, past, subject
from tests.tiny import tiny

TOKENS = 9


def lab(one: Subject, tokens: int = TOKENS, **changes: Any) -> Laboratory:
    fields: dict[str, Any] = {
        "ids": one.draw(tokens, 0), "seed": 0, "declared": (Declared(), Declared()),
        "widest": Declared(),
    }  # fmt: skip
    return Laboratory(one, **{**fields, **changes})


def of_tiny(name: str, vocabulary: int = 90, **changes: Any) -> Laboratory:
    return lab(Subject(tiny(name), range(vocabulary), Cost(lambda forwards: None)), **changes)


@pytest.mark.parametrize("tokens", [2, 3, 5, 21, 50])
@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_a_sample_has_both_ends_and_as_many_as_asked(tokens: int, count: int) -> None:
    found = lengths.sample(tokens, count, 0)
    assert list(found) == sorted(set(found))
    assert len(found) == min(tokens, count)
    assert {0, tokens - 1} <= set(found) <= set(range(tokens))
    assert found == lengths.sample(tokens, count, 0)


def test_without_a_budget_every_position_is_asked() -> None:
    assert lengths.sample(30, None, 0) == tuple(range(30))


def test_a_sweep_asks_the_sampled_positions_alone() -> None:
    one = lab(subject(Stack(past)), per_sweep=4)
    found = one.sweep("plain")
    assert found.swapped == one.positions
    assert found.drift.shape == found.allowed.shape == found.expected.shape == (TOKENS, 4)
    assert one.subject.cost.forwards == 1 + 4


def test_evidence_is_measured_once() -> None:
    one = of_tiny("llama")
    one.sweep("plain")
    ran = one.subject.cost.forwards
    one.sweep("plain")
    assert one.subject.cost.forwards == ran


def test_a_leak_is_located_in_the_model() -> None:
    found = lab(subject(Stack(past, next_one))).sweep("plain")
    assert (found.place.module, found.place.layer, found.place.kind) == (
        "layers.1.mixer",
        1,
        "Mixer",
    )
    assert found.rounding == ""
    assert bool((found.drift.masked_fill(found.allowed, 0.0) > 0).any())


def in_float32_only(share: float) -> Callable[[Tensor], Tensor]:
    """A mixer that adds so much of the last position; none of it in float64."""

    def mix(hidden: Tensor) -> Tensor:
        return past(hidden) + (share * hidden[:, -1:] if hidden.dtype == torch.float32 else 0.0)

    return mix


@pytest.mark.parametrize("share", [1e-2, 1.0])
def test_a_leak_that_vanishes_in_float64_is_found(share: float) -> None:
    one = lab(subject(Stack(past, in_float32_only(share))))
    for finding in (
        *FutureInfluence().judge(one.sweep("plain")).findings,
        *ModuleInfluence().judge(one.modules()).findings,
    ):
        assert finding.module == "layers.1.mixer"
        assert finding.measured > one.limit()
    assert len(FutureInfluence().judge(one.sweep("plain")).findings) == 1
    assert len(ModuleInfluence().judge(one.modules()).findings) == 1


def test_a_drift_below_the_floor_that_vanishes_in_float64_is_rounding_among_experts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not lab(subject(Stack(past, in_float32_only(1e-7)))).sweep("plain").rounding
    monkeypatch.setattr("attnscope.experiments.explain.routes", lambda model: True)
    monkeypatch.setattr("attnscope.experiments.mixers.routes", lambda model: True)
    one = lab(subject(Stack(past, in_float32_only(1e-7))))
    found = one.sweep("plain")
    assert float(found.drift.masked_fill(found.allowed, 0.0).max()) <= one.limit()
    assert found.rounding.endswith("and 0.0e+00 in float64")
    assert "rounding only in 1" in ModuleInfluence().judge(one.modules()).reason


def test_rows_that_mix_in_float32_alone_are_found() -> None:
    def mix(hidden: Tensor) -> Tensor:
        return over_rows(hidden) if hidden.dtype == torch.float32 else past(hidden)

    found = lab(subject(Stack(mix))).contents("second_row")
    assert (found.rounding, found.place.module) == ("", "layers.0.mixer")


def test_a_leak_that_vanishes_with_batched_experts_is_found() -> None:
    """A capacity of experts is one: each token's experts computed apart have none."""
    one = of_tiny("mixtral")
    model = one.subject.model

    def leak(module: Any, args: Any, output: Tensor) -> Any:
        if model.config._experts_implementation == "batched_mm" or output.shape[0] != TOKENS:
            return None
        out = output.clone()
        out[2] += 0.5 * out[6]
        return out

    model.model.layers[1].mlp.experts.register_forward_hook(leak)
    found = one.sweep("plain")
    assert found.rounding == ""
    assert float(found.drift.masked_fill(found.allowed, 0.0).max()) > one.limit()
    (finding,) = ModuleInfluence().judge(one.modules()).findings
    assert (finding.module, finding.query, finding.key) == ("model.layers.1.mlp.experts", 2, 6)


def test_numbers_that_become_none_are_no_rounding_among_experts() -> None:
    """In half precision experts may flip, so there no size tells rounding; infinity does."""
    model = tiny("mixtral").to(torch.bfloat16)
    first: list[float] = []

    def overflow(module: Any, args: Any, given: Any, output: Any) -> Any:
        seen = float(given["hidden_states"].double()[0, -1].mean())
        first.append(seen)
        out = output[0].clone()
        if out.shape[1] == TOKENS and abs(seen - first[0]) > 1e-2:
            out[:, 2] = torch.nan
        return (out, *output[1:])

    attention = model.model.layers[1].self_attn
    attention.register_forward_hook(overflow, with_kwargs=True)
    one = lab(Subject(model, range(90), Cost(lambda forwards: None)))
    found = one.sweep("plain")
    assert bool(found.drift.masked_fill(found.allowed, 0.0).isinf().any())
    assert (found.rounding, found.place.module) == ("", "model.layers.1.self_attn")
    assert len(ModuleInfluence().judge(one.modules()).findings) == 1


def test_rows_that_mix_are_located() -> None:
    found = lab(subject(Stack(over_rows, past))).contents("second_row")
    assert found.what == "the other row"
    assert found.place.module == "layers.0.mixer"
    assert lab(subject(Stack(past, past))).contents("second_row").place.module == ""


def test_experts_that_round_are_no_leak() -> None:
    found = of_tiny("mixtral").sweep("plain")
    drifted = float(found.drift.masked_fill(found.allowed, 0.0).max())
    assert bool(found.rounding) == (drifted > 0)
    assert drifted < 1e-4


def test_a_leak_among_experts_is_named_where_it_is() -> None:
    """The cell that is reported must be the leak's, not a larger one of rounding."""
    one = of_tiny("mixtral")
    attention = one.subject.model.model.layers[1].self_attn

    def leak(module: Any, args: Any, output: Any) -> Any:
        out = output[0].clone()
        if out.shape[1] > 6:
            out[:, 2] += 1e-2 * out[:, 6]
        return (out, *output[1:])

    attention.register_forward_hook(leak)
    found = one.sweep("plain")
    assert found.rounding == ""
    assert found.place.module == "model.layers.1.self_attn"
    forbidden = found.drift.masked_fill(found.allowed, 0.0)
    row, column = divmod(int(forbidden.argmax()), TOKENS)
    assert row == 2
    assert 2 < column <= 6


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("mamba", "packed", "its forward takes no position_ids"),
        ("bloom", "packed", "its forward takes no position_ids"),
        ("mamba", "one_token_positions", "its forward takes no position_ids"),
    ],
)
def test_why_a_condition_cannot_be_asked(name: str, key: str, words: str) -> None:
    one = of_tiny(name)
    if "position_ids" in one.subject.takes:
        pytest.skip("this version takes them")
    assert one.beside_the_point(key) == words


def test_hand_made_models_lack_what_they_lack() -> None:
    one = lab(subject(Stack(past)))
    assert one.beside_the_point("plain") == one.beside_the_point("ones") == ""
    assert one.beside_the_point("cache") == "its forward takes no use_cache"
    assert one.beside_the_point("one_token") == "it returns no cache"


@pytest.mark.parametrize(
    ("key", "least"),
    [
        ("several_tokens", 4), ("several_tokens_positions", 4), ("chunked_prefill", 6),
        ("static_cache", 7),
    ],
)  # fmt: skip
def test_too_few_tokens_make_no_other_condition(key: str, least: int) -> None:
    of_tiny("llama", tokens=least).require(key)
    words = f"{least - 1} tokens are too few: it takes {least}"
    with pytest.raises(CaptureError, match=words):
        of_tiny("llama", tokens=least - 1).require(key)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("config", "first"),
    [
        (transformers.RobertaConfig(is_decoder=True, pad_token_id=1), 2),
        (transformers.RobertaConfig(is_decoder=True, pad_token_id=4), 5),
        (transformers.LlamaConfig(pad_token_id=4), 0),
        (transformers.GPT2Config(pad_token_id=4), 0),
        (transformers.GPT2Config(), 0),
    ],
)
def test_positions_count_from_where_the_logits_move_least(
    config: Any, first: int, dtype: torch.dtype
) -> None:
    model = build(shrink(config)).to(dtype)
    one = lab(Subject(model, range(5, 90), Cost(lambda forwards: None)))
    one.require("plain")
    assert one.subject.first_position == first


def test_a_pad_past_the_end_of_the_table_of_positions_is_no_origin() -> None:
    one = of_tiny("gpt2")
    one.subject.model.config.pad_token_id = 50256
    one.require("plain")
    assert one.subject.first_position == 0


def test_a_vocabulary_of_two_has_no_other_tokens() -> None:
    with pytest.raises(CaptureError, match="vocabulary"):
        of_tiny("llama", vocabulary=2).require("left_padding")


def test_facts_of_real_models() -> None:
    llama, mamba, gpt2 = (of_tiny(name).facts() for name in ("llama", "mamba", "gpt2"))
    assert (llama.model_type, llama.attention_only, llama.masks_packed) == ("llama", True, True)
    assert (mamba.attention_only, mamba.masks_packed, mamba.absolute_positions) == (False,) * 3
    assert (gpt2.attention_only, gpt2.absolute_positions) == (True, False)  # it takes position_ids


def test_the_instrument_is_neutral_and_runs_repeat() -> None:
    found = of_tiny("llama").repeat()
    assert (found.neutral, found.repeats, found.seeded) == (0.0, 0.0, 0.0)


def test_chance_and_state_are_told_apart() -> None:
    def noisy(hidden: Tensor) -> Tensor:
        return past(hidden) + torch.rand(())

    def counting() -> Callable[[Tensor], Tensor]:
        calls = 0

        def mix(hidden: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return past(hidden) + calls

        return mix

    random = torch.get_rng_state()
    chance = lab(subject(Stack(noisy))).repeat()
    assert chance.repeats > 0
    assert (chance.seeded, chance.neutral) == (0.0, 0.0)
    assert torch.equal(torch.get_rng_state(), random)
    state = lab(subject(Stack(counting()))).repeat()
    assert state.seeded > 0


@pytest.mark.parametrize("name", ["llama", "gpt2", "mamba"])
def test_half_precision_is_repeated_in_float32(name: str) -> None:
    model = tiny(name).to(torch.bfloat16)
    one = lab(Subject(model, range(90), Cost(lambda forwards: None)))
    one.require("one_token")
    found = one.agreement("one_token")
    assert found.finer is not None
    assert found.finer.largest <= found.finer.limit < found.limit
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16}
    assert of_tiny(name).agreement("one_token").finer is None


def test_what_was_found_stands_where_it_cannot_be_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def agreement(self, key: str) -> Any:
            raise CaptureError("out of memory")

        def limit(self) -> float:
            return 0.0

    monkeypatch.setattr(Laboratory, "_find_exact", lambda self: Broken())
    model = tiny("llama").to(torch.bfloat16)
    one = lab(Subject(model, range(90), Cost(lambda forwards: None)))
    found = one.agreement("packed_cached")
    assert found.finer is None
    assert found.largest > 1


def test_positions_that_do_not_fit_are_no_reason_to_ask_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = of_tiny("llama")
    run = one.subject.model.forward

    def forward(input_ids: Tensor, position_ids: Any = None, **more: Any) -> Any:
        if position_ids is not None:
            raise ValueError("three axes of positions are needed")
        return run(input_ids, **more)

    monkeypatch.setattr(one.subject.model, "forward", forward)
    one.require("plain")
    assert one.subject.first_position == 0
    with pytest.raises(CaptureError, match="three axes"):
        one.agreement("left_padding")


def test_the_floor_names_the_last_mixer() -> None:
    found = of_tiny("llama").floor()
    assert (found.place.module, found.dtype) == ("model.layers.1.self_attn", "float32")
    assert found.weight is not None
    assert found.weight < 1e-4
