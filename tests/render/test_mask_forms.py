from __future__ import annotations

from itertools import chain

import pytest
import torch
from rich.cells import cell_len

from attnscope.records import CELL_BLOCKED, CELL_FUTURE_BLOCKED, CELL_FUTURE_SEEN, CELL_SEEN
from attnscope.render.mask_forms import Form, mask_form
from tests.render import examples, lessons

FORMS: tuple[Form, ...] = ("binary", "additive", "bool")
SIGNS = {"binary": ("1", "0"), "additive": ("0", "-inf"), "bool": ("✓", "✗")}
CONSOLES = ["unicode", "ascii"]


def rows_of(output: str, names: tuple[str, ...]) -> list[list[str]]:
    """The signs behind `0 The`, `1 cat` and so on; bands one after the other."""
    rows = [line.split() for line in output.splitlines()]
    places = {(str(place), name) for place, name in enumerate(names)}
    return [row[2:] for row in rows if tuple(row[:2]) in places and len(row) > 2]


@pytest.mark.parametrize("width", [30, 40, 60, 200])
@pytest.mark.parametrize("form", FORMS)
def test_a_causal_mask_is_a_triangle_of_signs(form: Form, width: int) -> None:
    trace, (seen, closed) = examples.textbook(), SIGNS[form]
    output = examples.printed(mask_form(trace.masks[0], trace.tokens, form), width)
    rows = rows_of(output, trace.tokens.labels)
    assert [list(chain.from_iterable(rows[place::5])) for place in range(5)] == [
        [seen] * (query + 1) + [closed] * (4 - query) for query in range(5)
    ]


def test_names_stand_over_their_columns() -> None:
    trace = examples.textbook()
    output = examples.printed(mask_form(trace.masks[0], trace.tokens, "additive"), 60).splitlines()
    assert output[1].split() == ["0", "1", "2", "3", "4"]
    assert output[2].split() == ["The", "cat", "sat", "on", "mat"]
    ends = [output[2].index(name) + len(name) for name in output[2].split()]
    assert {cell_len(line) for line in output[3:8]} == {ends[-1]}
    assert [output[1].index(number) + 1 for number in "01234"] == ends


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
@pytest.mark.parametrize("form", FORMS)
def test_a_later_token_is_told_by_a_character(form: Form, width: int, console: str) -> None:
    trace = examples.leaking()
    output = lessons.shown_on(mask_form(trace.masks[0], trace.tokens, form), width, console)
    sign = "T" if form == "bool" and console != "unicode" else SIGNS[form][0]
    marked = [line for line in output.splitlines() if f"!{sign}" in line and "LATER" not in line]
    assert len(marked) == 1
    assert marked[0].startswith("1 cat")
    assert f"!{sign} LATER TOKEN VISIBLE" in output
    assert "1 of 10 cells above the diagonal is open" in " ".join(output.split())
    assert "the window of 4 was ignored" in output


def test_a_clean_mask_has_no_mark() -> None:
    trace = examples.textbook()
    for form in FORMS:
        output = examples.printed(mask_form(trace.masks[0], trace.tokens, form), 80)
        assert "!" not in output
        assert "no later token is open (10 cells above the diagonal)" in output


@pytest.mark.parametrize("console", ["ascii", "legacy"])
def test_ticks_are_letters_where_there_are_none(console: str) -> None:
    trace = examples.textbook()
    output = lessons.shown_on(mask_form(trace.masks[0], trace.tokens, "bool"), 60, console)
    assert rows_of(output, trace.tokens.labels)[1] == ["T", "T", "F", "F", "F"]
    assert "T visible   F blocked" in output


@pytest.mark.parametrize("width", lessons.WIDTHS)
@pytest.mark.parametrize("form", FORMS)
def test_columns_that_do_not_fit_go_on_below(form: Form, width: int) -> None:
    tokens, (seen, closed) = lessons.many_tokens(30), SIGNS[form]
    mask = examples.make_mask(examples.window_cells(30, 5))
    lines = examples.printed(mask_form(mask, tokens, form), width).splitlines()
    for query in range(30):
        rows = [line.split()[2:] for line in lines if line.startswith(f"{query:>2} word")]
        signs = [sign for row in rows for sign in row]
        assert signs == [seen if query - 5 < key <= query else closed for key in range(30)]


@pytest.mark.parametrize(("width", "console"), [(40, "ascii"), (200, "unicode")])
@pytest.mark.parametrize("form", FORMS)
def test_one_leaking_cell_of_many_stays(form: Form, width: int, console: str) -> None:
    trace = examples.big()
    output = lessons.shown_on(mask_form(trace.masks[1], trace.tokens, form), width, console)
    dash, mixed = ("–", "±") if console == "unicode" else ("-", "+")
    rows = [line for line in output.splitlines() if line[4:5] == dash]
    assert len({row[:9] for row in rows}) == 32
    assert sum("!" in row for row in rows) == 1
    assert "one cell = 128" in " ".join(output.split())
    assert f"{mixed} some of each" in output


@pytest.mark.parametrize("width", [43, 53])
@pytest.mark.parametrize("name", ["exact", "pooled"])
def test_the_numbers_over_the_columns_are_one_line(name: str, width: int) -> None:
    tokens, mask = lessons.many_tokens(47), examples.make_mask(examples.causal_cells(47))
    if name == "pooled":
        tokens, mask = examples.big().tokens, examples.big().masks[0]
    lines = examples.printed(mask_form(mask, tokens, "binary"), width).splitlines()
    table = lines[1 : lines.index("")]
    assert table[0].split()[0] == "0"
    assert table[1].split()[0] in {"0", "0–127"}


def test_cells_of_several_tokens_or_heads_say_that_they_are_mixed() -> None:
    bits = [[CELL_SEEN | CELL_BLOCKED, CELL_FUTURE_BLOCKED], [CELL_SEEN, CELL_SEEN]]
    mask = examples.make_mask(torch.tensor(bits, dtype=torch.uint8))
    tokens = examples.make_tokens(("a", "b"))
    output = examples.printed(mask_form(mask, tokens, "binary"), 60)
    assert rows_of(output, ("a", "b")) == [["±", "0"], ["1", "1"]]
    assert "± some of each" in output
    plain = examples.printed(mask_form(mask, tokens, "binary"), 60, "ascii")
    assert rows_of(plain, ("a", "b")) == [["+", "0"], ["1", "1"]]


def test_a_mixed_cell_with_a_later_token_is_marked() -> None:
    bits = [[CELL_SEEN, CELL_FUTURE_SEEN | CELL_FUTURE_BLOCKED], [CELL_SEEN, CELL_SEEN]]
    mask = examples.make_mask(torch.tensor(bits, dtype=torch.uint8))
    output = examples.printed(mask_form(mask, examples.make_tokens(("a", "b")), "bool"), 60)
    assert rows_of(output, ("a", "b"))[0] == ["✓", "!±"]


@pytest.mark.parametrize("console", ["unicode", "ascii"])
@pytest.mark.parametrize("width", lessons.WIDTHS)
@pytest.mark.parametrize("form", FORMS)
def test_rows_stay_aligned_with_hostile_tokens(form: Form, width: int, console: str) -> None:
    trace = examples.hostile()
    output = lessons.shown_on(mask_form(trace.masks[0], trace.tokens, form), width, console)
    rows = [line for line in output.splitlines() if line[:3].strip().isdigit()]
    rows = [row for row in rows if set(row.split()[-3:]) <= {*SIGNS[form], "T", "F"}]
    bands = [rows[start : start + 20] for start in range(0, len(rows), 20)]
    assert len(rows) >= 20
    assert all(len({cell_len(row) for row in band}) == 1 for band in bands)
    assert lessons.harmless(output)


def test_one_token() -> None:
    mask = examples.make_mask(examples.causal_cells(1), layers=(), form="causal & first:1")
    output = examples.printed(mask_form(mask, examples.make_tokens(("a",)), "binary"), 40)
    assert output.splitlines()[0] == "causal & first:1"
    assert rows_of(output, ("a",)) == [["1"]]
    assert "no cell lies above the diagonal" in output
