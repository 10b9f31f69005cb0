from __future__ import annotations

from math import inf, nan

import pytest

from attnscope.heads_options import SORTS, Order
from attnscope.render.head_table import head_table, ordered
from tests import heads
from tests.render.examples import HOSTILE, make_focus, make_tokens, printed, widest


def test_entropy_comes_from_the_lowest_and_all_others_from_the_largest() -> None:
    for name, column in SORTS.items():
        focus = [
            make_focus(0, head, **{column.field: value})
            for head, value in enumerate((2.0, 9.0, 5.0))
        ]
        first = [one.head for one in ordered(focus, Order(sort=name))]
        assert first == ([0, 2, 1] if name == "entropy" else [1, 2, 0])
        assert [one.head for one in ordered(focus, Order(sort=name, reverse=True))] == first[::-1]


@pytest.mark.parametrize("reverse", [False, True])
def test_heads_without_a_number_come_last_either_way(reverse: bool) -> None:
    values = (None, 0.5, nan, 0.1, 0.5, inf)
    focus = [make_focus(0, head, induction=value) for head, value in enumerate(values)]
    heads_there = [one.head for one in ordered(focus, Order(sort="induction", reverse=reverse))]
    assert heads_there == ([3, 1, 4, 5, 0, 2] if reverse else [5, 1, 4, 3, 0, 2])


def rows(width: int, **asked: object) -> list[str]:
    made = heads.make_heads()
    order = Order(**asked)  # type: ignore[arg-type]
    return printed(head_table(made.focus, made.tokens, order), width).splitlines()


def test_a_wide_table_shows_every_column() -> None:
    lines = rows(160, sort="induction", top=3)
    assert lines[0] == "3 of 4 heads, by induction*: largest first"
    assert lines[1].split() == [
        "head", "role", "score", "entropy", "distance", "sink", "previous", "induction*",
        "duplicate", "self", "strongest", "token",
    ]  # fmt: skip
    assert lines[2].split() == [
        "L1.H0", "induction", "75%", "0.10", "1.5", "40%", "20%", "75%", "–", "30%", "The", "(0)",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[3:5]] == ["L1.H1", "L0.H0"]
    assert not any("no room" in line for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("name", SORTS)
def test_a_narrow_table_keeps_the_column_of_its_order(width: int, name: str) -> None:
    lines = rows(width, sort=name)
    assert max(map(len, lines)) <= width
    (heading,) = (line.split() for line in lines if line.startswith("head "))
    assert f"{name}*" in heading
    missing = " ".join(lines).split("no room here for")[-1]
    for column in set(SORTS) - {name}:
        assert (column in heading) != (column in missing)


def test_reversed_is_said() -> None:
    assert rows(100, reverse=True)[0].endswith("by entropy*: most focused first, reversed")


def test_flags_and_numbers_that_are_none() -> None:
    focus = [
        make_focus(10, 0, future_weight=0.1, distance=12_345.6),
        make_focus(10, 1, verified=False, entropy=nan),
        make_focus(10, 2, future_weight=nan),
    ]
    output = printed(head_table(focus, heads.make_heads().tokens, Order()), 160)
    assert "L10.H0!" in output
    assert "12,346" in output
    lines = {line.split()[0]: line.split() for line in output.splitlines() if line[:1] == "L"}
    assert lines["L10.H1?"][3] == "?"
    assert "L10.H2?" in lines


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_hostile_tokens_keep_the_columns(encoding: str) -> None:
    focus = [make_focus(0, place, strongest_key=place) for place in range(len(HOSTILE))]
    output = printed(head_table(focus, make_tokens(HOSTILE), Order(top=99)), 130, encoding)
    assert widest(output) <= 130
    assert "\x1b" not in output
