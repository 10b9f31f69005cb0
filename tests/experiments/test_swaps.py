"""One token changed, run again: what moved, and where a planted leak enters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attnscope.errors import CaptureError
from attnscope.experiments import swaps
from attnscope.experiments.swaps import Setting
from attnscope.experiments.watch import first_entry, watching
from tests.experiments.models import Mix, Stack, hooks, next_one, over_rows, past, subject

TOKENS = 6
CAUSAL = torch.ones(TOKENS, TOKENS).tril().bool()
NONE = torch.zeros(1, 0, dtype=torch.long)


def setting(key: str = "plain", aside: Tensor = NONE) -> Setting:
    return Setting(key=key, ids=torch.tensor([[4, 9, 2, 7, 7, 1]]), aside=aside, seed=0)


def other_row() -> Setting:
    return setting("second_row", torch.tensor([[3, 3, 8, 5, 0, 6]]))


def test_a_clean_model_moves_below_the_diagonal_alone() -> None:
    drift = swaps.sweep(subject(Stack(past, past)), setting(), range(TOKENS))
    assert torch.equal(drift > 0, CAUSAL)


def test_a_sample_of_positions_is_the_columns_asked_for() -> None:
    one = subject(Stack(past, next_one))
    whole = swaps.sweep(one, setting(), range(TOKENS))
    assert torch.equal(swaps.sweep(one, setting(), [1, 4]), whole[:, [1, 4]])


def test_swapped_changes_one_position() -> None:
    one = subject(Stack(past))
    changed = swaps.swapped(one, setting(), 3)
    assert (changed != setting().ids).nonzero().tolist() == [[0, 3]]


@pytest.mark.parametrize("leaky", [0, 1, 2])
def test_the_module_that_looks_ahead_is_named_and_none_downstream(leaky: int) -> None:
    mixes: list[Mix] = [past, past, past]
    mixes[leaky] = next_one
    one = subject(Stack(*mixes))
    drift = swaps.sweep(one, setting(), range(TOKENS))
    assert (drift.masked_fill(CAUSAL, 0) > 0).any()
    name = swaps.entry_of_swap(one, setting(), 3, CAUSAL)
    assert name == f"layers.{leaky}.mixer"
    assert hooks(one.model) == 0


def test_of_two_leaks_the_first_is_named() -> None:
    one = subject(Stack(past, next_one, next_one))
    assert swaps.entry_of_swap(one, setting(), 3, CAUSAL) == "layers.1.mixer"


def test_a_leak_in_a_layers_own_code_names_the_layer() -> None:
    one = subject(Stack(past, past, after=next_one))
    assert swaps.entry_of_swap(one, setting(), 3, CAUSAL) == "layers.0"


def test_a_leak_behind_all_modules_names_none() -> None:
    class Headless(Stack):
        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> object:
            answer = super().forward(input_ids)
            answer.logits = next_one(answer.logits)
            return answer

    assert swaps.entry_of_swap(subject(Headless(past)), setting(), 3, CAUSAL) == ""


def test_a_clean_model_has_no_entry() -> None:
    one = subject(Stack(past, past))
    assert swaps.entry_of_swap(one, setting(), 3, CAUSAL) == ""
    assert swaps.entry_of_contents(one, other_row()) == ""


def test_rows_that_mix_are_seen_and_located() -> None:
    clean = subject(Stack(past, past))
    assert swaps.contents(clean, other_row()).tolist() == [0.0] * TOKENS
    leaky = subject(Stack(past, over_rows))
    assert (swaps.contents(leaky, other_row()) > 0).all()
    assert swaps.entry_of_contents(leaky, other_row()) == "layers.1.mixer"


def test_what_is_visible_may_move() -> None:
    """With a bidirectional declaration a look ahead is no entry."""
    one = subject(Stack(next_one))
    everything = torch.ones(TOKENS, TOKENS).bool()
    assert swaps.entry_of_swap(one, setting(), 3, everything) == ""


def test_logits_that_are_no_numbers_prove_nothing() -> None:
    nothing: Callable[[Tensor], Tensor] = lambda hidden: hidden * float("nan")  # noqa: E731
    with pytest.raises(CaptureError, match="no numbers"):
        swaps.contents(subject(Stack(nothing)), other_row())


def test_runs_with_different_calls_have_no_entry() -> None:
    one = subject(Stack(past))
    with watching(one.model) as base:
        one.run("plain", setting().ids, NONE)
    with watching(one.model) as longer:
        one.run("plain", setting().ids, NONE)
        one.run("plain", setting().ids, NONE)
    assert first_entry(base, longer, aside=False) is None


def test_calls_are_recorded_in_the_order_in_which_they_end() -> None:
    one = subject(Stack(past))
    with watching(one.model) as recording:
        one.run("plain", setting().ids, NONE)
    names = [call.name for call in recording.calls]
    assert names == ["embedding", "layers.0.mixer", "layers.0.feed_forward", "layers.0", "head"]
    assert [len(call.returned) for call in recording.calls] == [1] * 5
    assert [tuple(one.shape) for one in recording.ids] == [(1, TOKENS)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_hooks_are_gone_after_an_exception(error: type[BaseException]) -> None:
    model = Stack(past)
    with pytest.raises(error), watching(model):
        raise error
    assert hooks(model) == 0


def test_what_runs_once_for_each_chosen_expert_hides_no_entry() -> None:
    """An expert's parts run more often in one run than in its twin; all else is compared."""

    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.expert = nn.Identity()

        def forward(self, hidden_states: Tensor) -> Tensor:
            chosen = torch.arange(TOKENS).eq(3) & (hidden_states[0, 3] != kept).any()
            for expert in chosen.unique().tolist():
                self.expert(hidden_states[0, chosen == expert])
            return next_one(hidden_states)

    one = subject(Stack(past))
    kept = one.model.embedding(setting().ids)[0, 3].detach()
    one.model.layers[0].mixer = Choosing()
    assert swaps.entry_of_swap(one, setting(), 3, CAUSAL) == "layers.0.mixer"
