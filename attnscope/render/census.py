"""The census as a table: one line a model type, and below it what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records.census import Census, Found, Row, State
from attnscope.render.census_rows import (
    FAMILIES,
    Place,
    accepted,
    counts,
    in_common,
    lost,
    made_with,
    own,
    shared,
    short,
    spokesman,
    together,
)
from attnscope.render.hanging import hanging
from attnscope.render.palette import (
    BAD,
    CAUTION,
    FUTURE,
    GOOD,
    QUIET,
    STRONG,
    UNICODE,
    Fitted,
    Look,
)
from attnscope.text import fit

LISTED = 4
"""Checks whose findings are told below one row; the rest is counted."""

SIGNS = {
    "pass": "✓",
    "fail": "✗",
    "error": "!",
    "skip": "?",
    "unpromised": "–",
    "accepted": "–",
    "": "·",
}
PLAIN_SIGNS = {
    "pass": "+",
    "fail": "X",
    "error": "!",
    "skip": "?",
    "unpromised": "-",
    "accepted": "-",
    "": ".",
}
"""One cell for each outcome of a family; empty where nothing of it was asked."""

STATES: dict[State, tuple[str, str]] = {
    "pass": ("pass", GOOD),
    "fail": ("FAIL", FUTURE),
    "skip": ("unchecked", CAUTION),
    "error": ("ERROR", BAD),
    "not applicable": ("not applicable", QUIET),
}
"""A verdict's word and style."""


def census_page(census: Census) -> RenderableType:
    """Counts, the table, and what its signs mean."""
    return Fitted(lambda width, look: Group(*_draw(census, width, look)))


def _draw(census: Census, width: int, look: Look) -> Iterator[Text]:
    yield from hanging(Text(), look.say(f"census · {made_with(census)}"), width, STRONG)
    yield from hanging(Text(), look.say(counts(census.rows)), width)
    yield Text()
    names = max((cell_len(row.key) for row in census.rows), default=0)
    states = max((len(STATES[row.state][0]) for row in census.rows), default=0)
    common = shared(census.rows)
    for row in census.rows:
        yield _line(row, names, states, width, look)
        yield from _below(row, common, width, look)
    yield Text()
    yield from _in_common(census.rows, common, width, look)
    for words in census.notes:
        yield from hanging(Text("note "), look.say(words), width)
    yield from _legend(width, look)


def _line(row: Row, names: int, states: int, width: int, look: Look) -> Text:
    word, style = STATES[row.state]
    line = Text.assemble((look.say(row.key).ljust(names), STRONG), "  ", (word, style))
    if row.families:
        line.append(" " * (states - len(word) + 2)).append_text(_families(row, look))
        rest = f"{' '.join(map(short, row.backends))} · {', '.join(row.mixers)}"
        room = width - line.cell_len - 2
        if room > len("eager"):
            line.append("  " + fit(look.say(rest), room, look.glyphs.ellipsis), QUIET)
    return line


def _families(row: Row, look: Look) -> Text:
    signs = SIGNS if look.glyphs is UNICODE else PLAIN_SIGNS
    outcomes = dict(row.families)
    styles = {"pass": GOOD, "fail": BAD, "error": BAD, "skip": CAUTION}
    drawn = Text()
    for family in FAMILIES:
        outcome = outcomes.get(family, "")
        drawn.append(signs[outcome], styles.get(outcome, QUIET))
    return drawn


def _below(row: Row, common: Mapping[Place, int], width: int, look: Look) -> Iterator[Text]:
    if row.reason:
        yield from hanging(Text("  "), look.say(row.reason), width, QUIET)
    for backend, reason in lost(row):
        yield from hanging(Text("  "), look.say(f"not on {short(backend)}: {reason}"), width, QUIET)
    for words in accepted(row):
        yield from hanging(Text("  accepted "), look.say(words), width, QUIET)
    groups = together(own(row, common))
    listed = 1 if row.variant else LISTED  # all of them come from one switch
    for one in groups[:listed]:
        lead = Text(f"  {one.code} ", BAD)
        yield from hanging(lead, look.say(f"({one.where}) {one.worst.message}"), width)
    more = [one.code for one in groups[listed:]]
    if others := in_common(row, common):
        more.append(f"{others} in common with others")
    if more:
        words = f"{'… and ' * (len(groups) > listed)}{', '.join(more)}"
        yield from hanging(Text("  "), look.say(words), width, QUIET)


def _in_common(
    rows: Sequence[Row], common: Mapping[Place, int], width: int, look: Look
) -> Iterator[Text]:
    """What many rows share, told once."""
    if not common:
        return
    yield Text(look.say("in many rows"), STRONG)
    for place, number in sorted(common.items()):
        key, one = spokesman(rows, place)
        where = f"({one.condition or 'plain'}; {short(one.backend)}) in {number} rows"
        lead = Text(f"  {one.code} ", BAD)
        yield from hanging(lead, look.say(f"{where}; {key}: {one.message}"), width)
    yield Text()


def _legend(width: int, look: Look) -> Iterator[Text]:
    signs = SIGNS if look.glyphs is UNICODE else PLAIN_SIGNS
    words = {"pass": "pass", "fail": "finding", "skip": "could not be asked", "": "nothing to ask"}
    told = ", ".join(f"{signs[key]} {meaning}" for key, meaning in words.items())
    columns = f"signs, one for each family: {', '.join(FAMILIES)}"
    yield from hanging(Text(), look.say(f"{columns}; {told}"), width, QUIET)
    advice = "random weights, shrunken: the wiring was judged, no checkpoint"
    yield from hanging(Text(), look.say(advice), width, QUIET)


if __name__ == "__main__":
    from rich.console import Console

    leak = Found(
        code="ATN301", condition="plain", backend="eager", module="model.layers.0.self_attn",
        message="Changing token 3 moves position 1 by 0.3.", count=1,
    )  # fmt: skip
    rows = (
        Row(
            model_type="gpt2", state="pass", mixers=("attention",), backends=("eager", "sdpa"),
            families=(("observer", "pass"), ("influence", "pass")),
        ),
        Row(
            model_type="cpmant", state="fail", backends=("eager",), mixers=("attention",),
            families=(("observer", "pass"), ("influence", "fail")), findings=(leak,),
        ),
        Row(model_type="gemma3n", state="not applicable", reason="its image tower needs timm"),
    )  # fmt: skip
    demo = Census(
        rows=rows, versions=(("transformers", "5.23.0"),), date="2026-11-22", quick=True,
        backends=("eager", "sdpa"),
    )  # fmt: skip
    Console().print(census_page(demo))
