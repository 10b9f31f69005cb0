"""Which rows there are."""

from __future__ import annotations

import pytest

from attnscope.census.cases import (
    BOTH_WAYS,
    COMPLETED,
    ENCODERS,
    WITHOUT_MODEL,
    Case,
    cases,
    shard,
)
from attnscope.errors import SelectionError
from attnscope.load.registered import registered_types
from attnscope.shrink.overrides import OVERRIDES

TYPES = registered_types()


def test_every_registered_type_has_a_row() -> None:
    made = cases(TYPES)
    assert {case.model_type for case in made if not case.variant} == {*TYPES}
    assert {case.model_type for case in made if case.variant} == {*BOTH_WAYS}
    assert len({case.key for case in made}) == len(made) == len(TYPES) + len(BOTH_WAYS)
    assert [case.key for case in made] == sorted(case.key for case in made)


def test_tables_name_registered_types_and_give_reasons() -> None:
    assert {*COMPLETED, *BOTH_WAYS, *WITHOUT_MODEL} <= {*TYPES}
    assert all(one.fields and len(one.reason) > 10 for one in COMPLETED.values())
    assert all(one.fields and len(one.reason) > 10 for one in OVERRIDES.values())
    assert len(WITHOUT_MODEL) <= 5


def test_encoder_families_are_asked_as_decoders_and_as_they_are() -> None:
    asked = {case.key: case for case in cases(TYPES, ENCODERS)}
    assert len(asked) == 2 * len(ENCODERS)
    for name in ENCODERS:
        assert asked[name].fields["is_decoder"] is True
        assert "is_decoder" not in asked[f"{name} (default)"].fields


def test_only_some() -> None:
    assert [case.key for case in cases(TYPES, ("gpt2", "bert"))] == [
        "bert", "bert (default)", "gpt2",
    ]  # fmt: skip


def test_a_type_that_is_none_is_told_with_the_nearest() -> None:
    with pytest.raises(SelectionError, match=r"'lama'.*no causal model type.*llama"):
        cases(TYPES, ("lama",))


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_shards_are_everything_once(of: int) -> None:
    made = cases(TYPES)
    parts: list[Case] = [case for number in range(1, of + 1) for case in shard(made, number, of)]
    assert sorted(case.key for case in parts) == [case.key for case in made]
