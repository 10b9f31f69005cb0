from __future__ import annotations

from math import inf, nan

import pytest
from rich.cells import cell_len

from attnscope.records import LossComparison
from attnscope.render.losses import ALL, losses
from tests.render import examples, lessons

CONSOLES = ["unicode", "ascii"]
TOKENS = examples.textbook().tokens
OWN, OTHER = (2.0, 3.0, 1.5, 2.5), (0.1, 0.2, 0.3, 0.4)


def words_of(whole: LossComparison, against: str = "none", width: int = 80) -> str:
    return " ".join(examples.printed(losses(whole, TOKENS, against), width).split())


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_each_position_with_both_losses(width: int, console: str) -> None:
    thing = losses(lessons.make_losses(OWN, OTHER), TOKENS, "none")
    output = lessons.shown_on(thing, width, console)
    lines = output.splitlines()
    assert [line.split() for line in lines[1:5]] == [
        ["0", "The", "cat", "2.00", "on", "0.10", "on"],
        ["1", "cat", "sat", "3.00", "on", "0.20", "on"],
        ["2", "sat", "on", "1.50", "on", "0.30", "on"],
        ["3", "on", "mat", "2.50", "on", "0.40", "on"],
    ]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_headings_stand_over_their_columns(width: int) -> None:
    thing = losses(lessons.make_losses(OWN, OTHER), TOKENS, "none")
    heading, row = examples.printed(thing, width).splitlines()[:2]
    assert heading.split() == ["after", "comes", "loss", "expects", "loss*", "expects*"]
    for title, cell in (("after", "The"), ("comes", "cat"), ("expects", "on")):
        assert heading.index(title) == row.index(cell)
    assert heading.index("expects*") == row.rindex("on")


@pytest.mark.parametrize(
    ("own", "other", "against", "words"),
    [
        (2.0, 0.5, "none", "It falls, and nothing was learned"),
        (2.0, 0.5, "bidirectional", "It falls, and nothing was learned"),
        (2.0, 0.5, "sliding:2", "It falls: if this mask shows later tokens"),
        (2.0, 4.0, "none", "It rises: the heads now also mix in later"),
        (2.0, 4.0, "sliding:2", "It rises: the model misses what this mask hides."),
        (2.0, inf, "sliding:2", "It rises: the model misses what this mask hides."),
        (2.0, 2.04, "none", "It hardly changes on this prompt."),
        (2.0, 1.96, "none", "It hardly changes on this prompt."),
    ],
)
def test_what_the_mean_means(own: float, other: float, against: str, words: str) -> None:
    output = words_of(lessons.make_losses((own,) * 4, (other,) * 4), against)
    assert words in output
    assert f"mean loss {own:.2f} nats a token" in output
    assert ("without a mask*" if against == "none" else f"with {against}*") in output


@pytest.mark.parametrize(("own", "other"), [(nan, 2.0), (2.0, nan), (nan, nan), (inf, inf)])
def test_a_loss_that_is_no_number_is_no_small_change(own: float, other: float) -> None:
    output = words_of(lessons.make_losses((own,) * 4, (other,) * 4))
    assert "hardly changes" not in output
    assert "falls" not in output


def test_perplexities() -> None:
    output = words_of(lessons.make_losses((0.0,) * 4, (30.0,) * 4))
    assert "(perplexity 1.0)" in output
    assert "(perplexity 10^13)" in output


def test_the_perplexity_of_an_impossible_token_has_no_bound() -> None:
    assert "(perplexity inf)" in words_of(lessons.make_losses((2.0,) * 4, (inf,) * 4))


def test_the_answer_that_leaks() -> None:
    output = words_of(lessons.make_losses(OWN, OTHER))
    assert "After cat (1) comes sat. 8 other tokens were put there instead" in output
    assert "✓ own masks nothing moves, bit for bit." in output
    assert "✗ without a mask its logits move by up to 9.25; 8 of 8 got likelier" in output
    assert "dog went from <0.01% to 80.0%: the answer is read, not predicted." in output


def test_own_masks_that_leak_are_not_ticked_off() -> None:
    output = words_of(lessons.make_losses(OWN, OTHER, leak=lessons.make_leak(own_move=1e-3)))
    assert "✗ own masks its logits move by up to 0.001" in output


def test_one_token_that_does_not_follow() -> None:
    leak = lessons.make_leak(tried=1, followed=0, before=0.5, after=0.25, other_move=2.0)
    output = words_of(lessons.make_losses(OWN, OTHER, leak=leak))
    assert "1 other token was put there instead" in output
    assert "0 of 1 got likelier" in output
    assert "went from" not in output
    assert "is read" not in output


def test_where_nothing_moves_neither_side_is_bad() -> None:
    leak = lessons.make_leak(other_move=0.0, followed=0, after=0.0)
    output = words_of(lessons.make_losses(OWN, OTHER, leak=leak))
    assert output.count("nothing moves, bit for bit.") == 2
    assert "✗" not in output


def test_a_move_that_is_no_number_is_not_ticked_off() -> None:
    output = words_of(lessons.make_losses(OWN, OTHER, leak=lessons.make_leak(own_move=nan)))
    assert "✗ own masks" in output


def test_of_many_positions_those_that_change_most_are_shown() -> None:
    own = (2.0,) * 40
    other = tuple(2.0 if place < 8 else 1.0 for place in range(40))
    thing = losses(lessons.make_losses(own, other), lessons.many_tokens(41), "none")
    output = examples.printed(thing, 80)
    rows = [line.split()[0] for line in output.splitlines() if "word" in line[:10]]
    assert rows == [str(place) for place in range(8, 40)]
    assert len(rows) == ALL
    assert "… 8 more positions that change less" in output


def test_a_right_guess_is_painted_as_one() -> None:
    whole = lessons.make_losses((2.0,) * 4, (0.1,) * 4, label="cat")
    green = lessons.painted(losses(whole, TOKENS, "none")).count("\x1b[32mcat")
    assert green == 2


@pytest.mark.parametrize("console", ["unicode", "ascii"])
@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("place", [0, 8, 11, 19])
def test_rows_stay_aligned_with_hostile_tokens(place: int, width: int, console: str) -> None:
    tokens = examples.make_tokens(examples.HOSTILE)
    size, label = len(tokens), tokens.labels[place]
    leak = lessons.make_leak(answer=label, other=label)
    whole = lessons.make_losses((2.0,) * (size - 1), (1.0,) * (size - 1), label, leak)
    output = lessons.shown_on(losses(whole, tokens, "none"), width, console)
    rows = output.splitlines()[1:size]
    assert [row[:2].strip() for row in rows] == [str(position) for position in range(size - 1)]
    for loss in ("  2.00 ", "  1.00 "):
        assert len({cell_len(row[: row.index(loss)]) for row in rows}) == 1
    assert lessons.harmless(output)


def test_two_tokens() -> None:
    whole = lessons.make_losses((2.0,), (0.5,), leak=lessons.make_leak(position=0, answer="b"))
    thing = losses(whole, examples.make_tokens(("a", "b")), "none")
    lines = examples.printed(thing, 80).splitlines()
    assert lines[1].split() == ["0", "a", "b", "2.00", "on", "0.50", "on"]
