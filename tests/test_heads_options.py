from __future__ import annotations

import pytest

from attnscope.errors import SelectionError
from attnscope.heads_options import SORTS, HeadsOptions, Order
from tests.render.examples import make_focus


def test_places_from_the_end_become_plain_ones() -> None:
    asked = HeadsOptions(layers=(-1, 0, 3), views=((-1, -2), (3, 2)), rows=(2, None), window=9)
    assert asked.resolved("m", 4, 4, 5) == HeadsOptions(
        layers=(0, 3), views=((3, 2),), rows=(2, 5), keys=(0, 5), window=9
    )
    assert HeadsOptions().resolved("m", 4, 4, 5) == HeadsOptions(rows=(0, 5), keys=(0, 5))
    assert HeadsOptions(keys=(-9, -2)).resolved("m", 4, 4, 5).keys == (0, 3)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (HeadsOptions(layers=(4,)), "m has no layer 4. They are 0 to 3"),
        (HeadsOptions(layers=(-5,)), "no layer -5"),
        (HeadsOptions(views=((0, 8),)), "no head 8"),
        (HeadsOptions(views=((4, 0),)), "no layer 4"),
        (HeadsOptions(layers=(0,), views=((1, 0),)), "1:0 is not among the layers"),
        (HeadsOptions(rows=(3, 3)), "rows 3:3 hold no token"),
        (HeadsOptions(keys=(5, 6)), "keys 5:6 hold no token"),
        (HeadsOptions(keys=(-1, 3)), "keys -1:3"),
    ],
)
def test_what_is_not_there_is_refused(asked: HeadsOptions, words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        asked.resolved("m", 4, 8, 5)


def test_an_unknown_number_of_layers_refuses_none() -> None:
    assert HeadsOptions(layers=(90,)).resolved("m", 0, 0, 5).layers == (90,)


def test_orders_name_numbers_of_heads() -> None:
    for column in SORTS.values():
        assert hasattr(make_focus(), column.field)
    assert Order(sort="sink", reverse=True).words == "largest first, reversed"
