"""One module replayed with one position changed: exact maps, no state, no hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from attnscope.declared import Declared
from attnscope.experiments import mixers, sight
from attnscope.experiments.mixers import Asked
from attnscope.experiments.replay import Recorded, recording, replay
from tests.experiments.models import Stack, hooks, next_one, past, subject
from tests.tiny import TINY, tiny

TOKENS = 21
POSITIONS = tuple(range(TOKENS))
CAUSAL = torch.ones(TOKENS, TOKENS).tril().bool()


def recorded(model: nn.Module, tokens: int = TOKENS) -> dict[str, Recorded]:
    ids = torch.randint(3, 29, (1, tokens), generator=torch.Generator().manual_seed(0))
    given = {"use_cache": False} if isinstance(model, PreTrainedModel) else {}
    with torch.no_grad(), recording(model, tokens) as calls:
        model(ids, **given)
    return {call.name: call for call in calls}


def moved(call: Recorded, dtype: torch.dtype | None = None) -> Tensor:
    drift = replay(call, range(call.tokens), 0, dtype)
    assert drift is not None
    return drift > 0


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_a_window_of_8_is_exactly_8_queries_a_key(backend: str, dtype: Any) -> None:
    calls = recorded(tiny("mistral", backend=backend))
    window = CAUSAL & ~torch.ones(TOKENS, TOKENS).tril(-8).bool()
    for layer in (0, 1):
        assert torch.equal(moved(calls[f"model.layers.{layer}.self_attn"], dtype), window)
    for part in ("mlp", "input_layernorm"):
        assert torch.equal(moved(calls[f"model.layers.0.{part}"]), torch.eye(TOKENS).bool())


class Convolution(nn.Module):
    """A causal convolution over three positions."""

    def __init__(self, ahead: int = 0) -> None:
        super().__init__()
        self.inner = nn.Conv1d(8, 8, 3, padding=2)
        self.ahead = ahead

    def forward(self, *, hidden_states: Tensor, scale: float = 1.0) -> tuple[Tensor, None]:
        tokens = hidden_states.shape[1]
        out: Tensor = self.inner(hidden_states.transpose(1, 2))[..., self.ahead :][..., :tokens]
        return out.transpose(1, 2) * scale, None


class Around(nn.Module):
    """Calls its module by keyword alone."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.table = nn.Embedding(30, 8)
        self.module = module
        self.dtype = torch.float32

    def forward(self, ids: Tensor) -> Any:
        return self.module(hidden_states=self.table(ids), scale=2.0)


def test_a_causal_convolution_called_by_keyword() -> None:
    call = recorded(Around(Convolution()), 12)["module"]
    assert call.main == "hidden_states"
    band = torch.ones(12, 12).tril() - torch.ones(12, 12).tril(-3)
    assert torch.equal(moved(call), band.bool())


def test_a_convolution_padded_on_the_wrong_side_looks_ahead() -> None:
    call = recorded(Around(Convolution(ahead=1)), 12)["module"]
    assert moved(call).diagonal(1).all()


def test_keys_that_are_given_apart_are_changed_with_the_queries() -> None:
    class Apart(nn.Module):
        def forward(self, hidden_states: Tensor, key_states: Tensor) -> Tensor:
            return hidden_states + next_one(key_states)

    class Model(Stack):
        def forward(self, input_ids: Tensor, attention_mask: Any = None) -> Any:
            hidden = self.embedding(input_ids)
            return self.apart(hidden, key_states=2 * hidden)

    model = Model(past)
    model.apart = Apart()
    assert torch.equal(moved(recorded(model)["apart"]), CAUSAL | CAUSAL.new_ones(21, 21).tril(1))


def test_replay_leaves_module_inputs_and_random_state_alone() -> None:
    model = Stack(past, past)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    call = recorded(model)["layers.0.mixer"]
    given, random = call.given().clone(), torch.get_rng_state()
    first, again = replay(call, POSITIONS, 0), replay(call, POSITIONS, 0)
    assert first is not None
    assert again is not None
    assert torch.equal(first, again)
    assert torch.equal(call.given(), given)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert hooks(model) == 0


def test_inputs_are_kept_as_they_were_though_later_layers_write_into_them() -> None:
    class InPlace(Stack):
        def forward(self, input_ids: Tensor, attention_mask: Any = None) -> Any:
            hidden = self.embedding(input_ids)
            self.layers[0].mixer(hidden)
            hidden.zero_()
            return hidden

    assert recorded(InPlace(past))["layers.0.mixer"].given().abs().sum() > 0


def test_modules_whose_output_has_no_row_a_token_are_not_kept() -> None:
    class OneNumber(nn.Module):
        def forward(self, hidden_states: Tensor, scale: float = 1.0) -> Tensor:
            return hidden_states.sum()

    class Ids(nn.Module):
        def forward(self, hidden_states: Tensor, scale: float = 1.0) -> Tensor:
            return hidden_states.argmax(-1)

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.GELU()

        def forward(self, hidden_states: Tensor, scale: float = 1.0) -> Tensor:
            return self.act(hidden_states).mean(1)

    assert recorded(Around(OneNumber()), 12) == recorded(Around(Ids()), 12) == {}
    assert set(recorded(Around(Pooled()), 12)) == {"module.act"}


class OnlyOnce(nn.Module):
    """Cannot be replayed; in a stack it runs once a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.called = False

    def forward(self, hidden_states: Tensor, scale: float = 1.0) -> Tensor:
        if self.called:
            raise RuntimeError("not again")
        self.called = True
        return past(hidden_states)


def test_modules_that_cannot_be_replayed_answer_none() -> None:
    assert replay(recorded(Around(OnlyOnce()), 12)["module"], range(12), 0) is None


def test_modules_that_cannot_be_replayed_are_named_once() -> None:
    model = Stack(past, past, past)
    for layer in model.layers[:2]:
        layer.mixer = OnlyOnce()
    calls = list(recorded(model).values())
    found = mixers.influences([*calls, *calls], asked(model))
    assert found.unreplayed == ("layers.0.mixer", "layers.1.mixer")
    assert {one.place.module for one in found.maps} == {"layers.2.mixer"}
    assert mixers.influences(list(recorded(Stack(past)).values()), asked(model)).unreplayed == ()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_hooks_are_gone_after_an_exception(error: type[BaseException]) -> None:
    model = Stack(past)
    with pytest.raises(error), recording(model, TOKENS):
        raise error
    assert hooks(model) == 0


def asked(model: nn.Module, **changes: Any) -> Asked:
    fields: dict[str, Any] = {
        "model": model, "positions": POSITIONS, "seed": 0, "attending": frozenset(),
        "declared": (), "widest": Declared(),
    }  # fmt: skip
    return Asked(**{**fields, **changes})


def maps(model: nn.Module, **changes: Any) -> dict[str, Any]:
    found = mixers.influences(list(recorded(model).values()), asked(model, **changes))
    return {one.place.module: one for one in found.maps}


def test_every_child_of_every_layer_is_asked() -> None:
    found = maps(Stack(past, past))
    assert set(found) == {f"layers.{layer}.mixer" for layer in (0, 1)}
    assert [one.place.layer for one in found.values()] == [0, 1]
    assert all(one.place.kind == "Mixer" for one in found.values())
    assert all(mixers.mixes(one) and not mixers.forbidden(one) for one in found.values())


def test_a_leaking_module_and_no_other_is_forbidden() -> None:
    found = maps(Stack(past, next_one, past))
    assert [name for name, one in found.items() if mixers.forbidden(one)] == ["layers.1.mixer"]
    assert (found["layers.1.mixer"].drift[2, 3]) > 0


def test_the_innermost_leaking_module_takes_the_place_of_its_parents() -> None:
    class Outer(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, hidden_states: Tensor) -> Tensor:
            out: Tensor = self.inner(hidden_states)
            return out

    model = Stack(past, past)
    model.layers[1].mixer = Outer(Outer(Stack(next_one).layers[0].mixer))
    found = maps(model)
    assert set(found) == {"layers.0.mixer", "layers.1.mixer.inner.inner"}
    assert found["layers.1.mixer.inner.inner"].place.layer == 1


def test_attention_is_held_to_its_own_layers_declaration() -> None:
    model = tiny("mistral")
    names = frozenset(f"model.layers.{layer}.self_attn" for layer in (0, 1))
    narrow = Declared(kind="sliding", size=7)
    found = maps(model, attending=names, declared=(Declared(kind="sliding", size=8), narrow))
    first, second = (found[name] for name in sorted(names))
    assert first.beyond
    assert second.beyond
    assert not mixers.forbidden(first)
    assert mixers.forbidden(second)
    assert bool((first.drift[first.expected] > 0).all())
    wide = maps(model, attending=names, declared=(Declared(), Declared()))
    blind = wide["model.layers.0.self_attn"]
    assert not mixers.forbidden(blind)
    assert not bool((blind.drift[blind.expected] > 0).all())


@pytest.mark.parametrize("name", TINY)
def test_every_mixer_of_a_real_model_is_replayed_and_none_leaks(name: str) -> None:
    model = tiny(name)
    found = maps(model)
    layers = {one.place.layer for one in found.values() if mixers.mixes(one)}
    assert layers == set(range(model.config.get_text_config().num_hidden_layers))
    assert not any(mixers.forbidden(one) for one in found.values())


def test_rounding_is_told_from_a_leak_in_float64() -> None:
    """Sums over the whole sequence round differently with its length, not with its content."""

    class RoundingExperts(nn.Module):
        def forward(self, hidden_states: Tensor, scale: float = 1.0) -> Tensor:
            eps = torch.finfo(hidden_states.dtype).eps
            return hidden_states * (1 + eps * torch.sign(hidden_states.sum(1, keepdim=True)))

    found = maps(Around(RoundingExperts()))["module"]
    assert found.rounding
    assert not mixers.forbidden(found)


@pytest.mark.parametrize("share", [1e-2, 1.0])
def test_a_leak_of_some_size_is_none_of_float32s_rounding(share: float) -> None:
    """Whatever becomes of it in float64: rounding is small."""

    def leaky(hidden: Tensor) -> Tensor:
        return hidden + (share * hidden[:, -1:] if hidden.dtype == torch.float32 else 0.0)

    found = maps(Stack(past, leaky))
    assert [name for name, one in found.items() if mixers.forbidden(one)] == ["layers.1.mixer"]
    assert not any(one.rounding for one in found.values())


@pytest.mark.parametrize("share", [1e-7, 1e-5])
def test_a_drift_of_the_last_bits_that_vanishes_in_float64_is_rounding_among_experts(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounds(hidden: Tensor) -> Tensor:
        return hidden + (share * hidden[:, -1:] if hidden.dtype == torch.float32 else 0.0)

    (dense,) = maps(Stack(rounds)).values()
    assert mixers.forbidden(dense)
    monkeypatch.setattr("attnscope.experiments.mixers.routes", lambda model: True)
    (one,) = maps(Stack(rounds)).values()
    assert one.rounding.endswith("and 0.0e+00 in float64")
    assert not mixers.forbidden(one)
    (leak,) = maps(Stack(lambda hidden: hidden + share * hidden[:, -1:])).values()
    assert mixers.forbidden(leak)


@pytest.mark.parametrize("everywhere", [True, False])
def test_numbers_that_become_none_are_no_rounding(everywhere: bool) -> None:
    """An infinite drift is no larger than a thousandth of an infinite one."""

    def overflows(hidden: Tensor) -> Tensor:
        rows = hidden if everywhere else hidden[:, :1]
        broken = torch.where(hidden[:, -1:, :1] > 1.0, torch.nan * rows, rows)
        return torch.cat([broken, hidden[:, broken.shape[1] :]], 1)

    model = Stack(lambda hidden: overflows(past(hidden)))
    call = recorded(model)["layers.0.mixer"]
    call.given()[:, :-1] = 60.0  # their mean is closed to overflow by the last one alone
    call.given()[:, -1] = -1e4
    (one,) = mixers.influences([call], asked(model)).maps
    assert bool(one.drift.isinf().any())
    assert one.rounding == ""
    assert mixers.forbidden(one)


@pytest.mark.parametrize("exact", [True, False])
def test_what_stands_still_is_undecided_where_there_is_no_float64(exact: bool) -> None:
    def last_two(hidden: Tensor) -> Tensor:
        if hidden.dtype == torch.float64 and not exact:
            raise TypeError("no kernel for float64")
        return hidden + torch.cat([hidden[:, :1], hidden[:, :-1]], 1)

    model = Stack(last_two)
    given = {"attending": frozenset({"layers.0.mixer"}), "declared": (Declared(),)}
    (one,) = maps(model, **given).values()
    assert one.undecided is not exact
    assert not bool((one.drift[2:, 0] > 0).any())
    (seeing,) = maps(Stack(past), **given).values()
    assert not seeing.undecided


def test_sight_finds_how_small_a_leak_is_seen() -> None:
    calls = recorded(tiny("llama"))
    weight = sight.smallest_seen(calls["model.layers.1.self_attn"], 0)
    assert weight is not None
    assert 1e-12 <= weight < 1e-4
    half = recorded(tiny("llama").to(torch.bfloat16))
    coarse = sight.smallest_seen(half["model.layers.1.self_attn"], 0)
    assert coarse is not None
    assert weight < coarse < 1.0


def test_a_module_that_says_nothing_shows_no_leak() -> None:
    class Silent(nn.Module):
        def forward(self, hidden_states: Tensor, scale: float = 1.0) -> Tensor:
            return torch.zeros_like(hidden_states)

    assert sight.smallest_seen(recorded(Around(Silent()))["module"], 0) is None


def test_subjects_of_stacks_run() -> None:
    ids = torch.tensor([[1, 2, 3]])
    assert subject(Stack(past)).run("plain", ids, ids[:, :0]).shape == (3, 30)
