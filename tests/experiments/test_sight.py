"""A leak can be seen in models that are built in unusual ways, too."""

from __future__ import annotations

import pytest

from attnscope.experiments import sight
from attnscope.verification import VerifyOptions, verify_model
from tests.census.registered import loaded, subject
from tests.experiments.models import Stack, next_one, past
from tests.experiments.models import subject as of_model

TOKENS = 21


@pytest.mark.parametrize("name", ["xlm", "xlnet", "big_bird", "reformer", "cpmant", "prophetnet"])
def test_the_controls_are_answered(name: str) -> None:
    """Layers in lists of their own, time before batch, unasked caches, rows of other lengths."""
    report = verify_model(loaded(name, "eager"), VerifyOptions(quick=True, select=("ATN0",)))
    answered = {one.code: one.outcome for one in report.results if one.family == "observer"}
    assert answered == dict.fromkeys(("ATN001", "ATN002", "ATN003", "ATN004"), "pass")


def test_in_the_logits_the_floor_is_the_precision_of_float32() -> None:
    one = subject("gpt2", "eager")
    found = sight.smallest_in_logits(one, one.draw(TOKENS, 0), 0)
    assert found is not None
    assert 1e-10 < found < 1e-5


@pytest.mark.parametrize("mixer", [past, next_one])
def test_a_leak_of_the_model_itself_is_not_counted_as_sight(mixer: object) -> None:
    one = of_model(Stack(mixer))  # type: ignore[arg-type]
    found = sight.smallest_in_logits(one, one.draw(TOKENS, 0), 0)
    assert found is not None
    assert found > 1e-12
