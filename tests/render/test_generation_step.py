from __future__ import annotations

from math import inf, nan

import pytest
from rich.console import RenderableType

from attnscope.records import Step, StepCost
from attnscope.render.generation_step import KEYS, generation_step
from attnscope.text import label
from tests.render import examples, lessons

CONSOLES = ["unicode", "ascii"]
LIMIT = 1e-5


def drawn(step: Step, number: int = 2) -> RenderableType:
    return generation_step(step, number, examples.textbook().tokens, LIMIT)


def facts(step: Step, width: int = 200) -> dict[str, str]:
    """What stands behind each name, at a width where nothing goes on below."""
    lines = examples.printed(drawn(step), width).splitlines()[1:]
    return {line[:10].strip(): line[10:] for line in lines}


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", lessons.WIDTHS)
def test_a_step_says_everything(width: int, console: str) -> None:
    output = lessons.shown_on(drawn(lessons.make_step()), width, console)
    unicode = console == "unicode"
    key, dot = ("■", "·") if unicode else ("#", ".")
    words = " ".join(output.split())
    assert words.startswith("step 2 · reads on at 3 → mat" if unicode else "step 2 | reads on at 3")
    assert f"mask {key * 4} 4 of 4 keys" in words
    assert "looks at The (0) 50%, cat (1) 30%, sat (2) 20%; layer 1, head 2" in words
    assert "expects mat 92.0% rug <.1%" in words
    assert f"cost 1 token, 16 query {dot} key products; without the cache 4 tokens, 64" in words
    assert "the old ones unchanged, bit for bit" in words
    assert "2.0e-06, rounding explains 1.0e-05" in words


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [40, 60, 80])
def test_words_that_do_not_fit_go_on_below_themselves(width: int, console: str) -> None:
    lines = lessons.shown_on(drawn(lessons.make_step()), width, console).splitlines()[1:]
    names = ("mask", "looks at", "expects", "cache", "cost", "agrees")
    assert all(line.startswith((*names, " " * 10)) for line in lines)


@pytest.mark.parametrize("width", [40, 60, 74, 80, 85])
def test_wide_characters_go_on_below_themselves(width: int) -> None:
    candidates = tuple(lessons.make_candidate(f"漢字{place}", 0.1) for place in range(6))
    lines = examples.printed(drawn(lessons.make_step(candidates=candidates)), width).splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("expects"))
    rest = next(where for where, line in enumerate(lines) if line.startswith("cache"))
    assert all(line.startswith(" " * 10) for line in lines[place + 1 : rest])


def test_the_first_step_reads_the_prompt() -> None:
    output = examples.printed(drawn(lessons.make_first_step(), 1), 80)
    assert output.splitlines()[0] == "step 1 · reads 3 tokens, 0 to 2 → on"
    assert "new: 0 to 2" in output
    assert "unchanged" not in output
    assert "without the cache" not in output
    assert "✓ with the whole text read at once, bit for bit" in output


def test_a_prompt_of_one_token() -> None:
    cost = StepCost(tokens=1, products=4)
    step = lessons.make_first_step(
        read=0, cached=cost, full=cost, rows=(lessons.make_row([1]),),
        weights=lessons.make_weights([1.0]),
    )  # fmt: skip
    output = examples.printed(drawn(step, 1), 80)
    assert output.splitlines()[0] == "step 1 · reads The → on"
    assert "■  1 of 1 key\n" in output


@pytest.mark.parametrize("console", CONSOLES)
def test_blocked_and_later_keys_are_told_by_characters(console: str) -> None:
    step = lessons.make_step(rows=(lessons.make_row([0, 1, 0, 1, 1]),))
    output = lessons.shown_on(drawn(step), 80, console)
    signs = "□■□■!" if console == "unicode" else "-#-#!"
    assert output.splitlines()[1].startswith(f"mask      {signs}  3 of ")


def test_a_later_key_is_painted() -> None:
    step = lessons.make_step(rows=(lessons.make_row([1, 1, 1, 1, 1]),))
    assert f"{lessons.LATER}!" in lessons.painted(drawn(step))
    assert lessons.LATER not in lessons.painted(drawn(lessons.make_step()))


def test_each_distinct_mask_has_its_layers() -> None:
    rows = (
        lessons.make_row([1, 1, 1, 1], layers=(0, 2)),
        lessons.make_row([1, 1], layers=(1, 3), first_key=2),
    )
    lines = examples.printed(drawn(lessons.make_step(rows=rows)), 80).splitlines()
    assert lines[1] == "mask      ■■■■  4 of 4 keys, layers 0, 2"
    assert lines[2] == "mask      ■■  2 of 4 keys, 2 no longer kept, layers 1, 3"


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [60, 80])
def test_of_a_long_row_the_last_keys_are_drawn(width: int, console: str) -> None:
    step = lessons.make_step(read=99, rows=(lessons.make_row([1] * 99 + [0]),))
    output = lessons.shown_on(drawn(step), width, console)
    start, seen, blocked = ("…", "■", "□") if console == "unicode" else ("~", "#", "-")
    drawn_row = f"mask      {start}{seen * (KEYS - 1)}{blocked}  99 of 100 keys"
    assert output.splitlines()[1] == drawn_row


def test_keys_are_named_by_their_place_in_the_text() -> None:
    weights = lessons.make_weights([0.9, 0.1], first_key=2)
    assert facts(lessons.make_step(weights=weights))["looks at"].startswith("sat (2) 90%, on (3)")


@pytest.mark.parametrize("weights", [[1 / 300] * 300, [nan, nan], [0.0, 0.0]])
def test_weights_too_small_to_be_named_leave_no_gap(weights: list[float]) -> None:
    """A broad head over many tokens, a head that gives all to its sink, a broken one."""
    step = lessons.make_step(weights=lessons.make_weights(weights))
    assert not facts(step)["looks at"].startswith(";")


def test_no_head_no_cache_and_no_row_are_left_out() -> None:
    cost = StepCost(tokens=4, products=64)
    step = lessons.make_step(rows=(), weights=None, cache=(), cached=cost)
    output = examples.printed(drawn(step), 200)
    assert output.startswith("step 2 · reads 4 tokens, 0 to 3 → mat")
    assert set(facts(step)) == {"expects", "cost", "agrees"}
    assert "without the cache" not in output


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unchanged": True}, "; new: 3; the old ones unchanged, bit for bit"),
        ({"unchanged": False}, "; new: 3; OLD ONES CHANGED"),
        ({"unchanged": None}, "; new: 3"),
        ({"first_new": 2, "unchanged": None}, "; new: 2 to 3"),
        ({"first_new": 4, "unchanged": None}, "; nothing new"),
        ({"dropped": 1, "unchanged": None}, "; new: 3; let go: 1 entry"),
        ({"dropped": 2, "unchanged": None}, "; new: 3; let go: 2 entries"),
    ],
)
def test_what_the_cache_keeps(changes: dict[str, object], words: str) -> None:
    state = lessons.make_state(**changes)
    told = facts(lessons.make_step(cache=(state,)))["cache"]
    assert told == f"keys and values (1, 2, 4, 8), 1,024 bytes, layers 0–1{words}"


def test_a_state_is_written_anew() -> None:
    state = lessons.make_state(kind="state", shape=(1, 16), end=0, unchanged=None, layers=(3,))
    told = facts(lessons.make_step(cache=(state,)))["cache"]
    assert told == "a state of fixed size (1, 16), 1,024 bytes, layer 3, written anew"


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("drift", [1.1e-5, 0.5, inf, nan])
def test_more_than_rounding_is_loud(drift: float, console: str) -> None:
    output = lessons.shown_on(drawn(lessons.make_step(drift=drift)), 200, console)
    bad = "✗" if console == "unicode" else "!!"
    assert f"agrees    {bad} NOT: largest logit difference" in output
    assert "rounding explains only 1.0e-05" in output


@pytest.mark.parametrize("width", [60, 80, 200])
def test_what_is_bad_is_painted_so_where_it_is_wrapped(width: int) -> None:
    output = lessons.painted(drawn(lessons.make_step(drift=0.5)), width)
    assert "\x1b[1;31m✗" in output


def test_chances_that_are_no_numbers_are_not_small() -> None:
    step = lessons.make_step(candidates=(lessons.make_candidate("on", nan),))
    assert "<.1%" not in facts(step)["expects"]


@pytest.mark.parametrize("console", CONSOLES)
@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("place", [0, 1, 2, 7, 8, 19])
def test_hostile_tokens_do_no_harm(place: int, width: int, console: str) -> None:
    tokens = examples.make_tokens(examples.HOSTILE)
    name = label(examples.HOSTILE[place])
    step = lessons.make_step(
        read=place, candidates=tuple(lessons.make_candidate(name, 0.2) for _ in range(3)),
        weights=lessons.make_weights([1.0], first_key=place),
    )  # fmt: skip
    output = lessons.shown_on(generation_step(step, 2, tokens, LIMIT), width, console)
    assert lessons.harmless(output)
    if place == 1:
        assert "[bold] (1) 100%" in " ".join(output.split())
