"""One step of a text in the making: what was read, seen, expected, kept, and what it cost."""

from __future__ import annotations

from math import isnan

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import CacheState, NewRow, Step, Tokens
from attnscope.render.grid import label_at
from attnscope.render.hanging import hanging
from attnscope.render.mask_table import layer_ranges
from attnscope.render.palette import (
    BAD,
    BLOCKED,
    CAUTION,
    FUTURE,
    GOOD,
    QUIET,
    SEEN,
    STRONG,
    Fitted,
    Look,
    counted,
    percent,
)

LEAD = 10
"""Terminal cells of the words before a line."""
KEYS = 32
"""Cells of a mask row that are drawn; of a longer one the last ones."""
LOOKED_AT = 4
"""Keys that are named."""


def generation_step(step: Step, number: int, tokens: Tokens, limit: float) -> RenderableType:
    """The step as a block of lines; `tokens` are those of the whole text, for names."""
    return Fitted(lambda width, look: Group(*_draw(step, number, tokens, limit, (width, look))))


def _draw(
    step: Step, number: int, tokens: Tokens, limit: float, fitted: tuple[int, Look]
) -> list[Text]:
    width, look = fitted
    tokens = look.read(tokens)
    lines = [_title(step, number, tokens, look)]
    for row in step.rows:
        lines += _fact("mask", _row(row, step, look), width, look)
    if step.weights:
        lines += _fact("looks at", Text(_looked_at(step, tokens)), width, look)
    lines += _fact("expects", _candidates(step, look), width, look)
    for state in step.cache:
        lines += _fact("cache", _cache(state, look), width, look)
    lines += _fact("cost", Text(_cost(step)), width, look)
    return [*lines, *_fact("agrees", _agreement(step, limit, look), width, look)]


def _fact(name: str, words: Text, width: int, look: Look) -> list[Text]:
    """A name and its words; words that do not fit go on below themselves."""
    lead = Text(name.ljust(LEAD), style=QUIET)
    plain = look.say(words.plain)
    if LEAD + cell_len(plain) <= width:
        line = words.copy()
        line.plain = plain
        return [Text().append_text(lead).append_text(line)]
    return hanging(lead, plain, width, str(words.style))


def _title(step: Step, number: int, tokens: Tokens, look: Look) -> Text:
    first = step.read + 1 - step.cached.tokens
    if number == 1 or step.cached.tokens > 1:
        read = f"reads {counted(step.cached.tokens, 'token')}, {first} to {step.read}"
        read = read if step.cached.tokens > 1 else f"reads {label_at(tokens, step.read)}"
    else:
        read = f"reads {label_at(tokens, step.read)} at {step.read}"
    chosen = look.spell(step.candidates[0].label)
    title = Text(look.say(f"step {number} · {read}"), style=STRONG)
    return title.append(look.say(" → ")).append(chosen, f"{STRONG} reverse")


def _row(row: NewRow, step: Step, look: Look) -> Text:
    allowed = row.allowed.tolist()
    line = Text()
    start = max(len(allowed) - KEYS, 0)
    if start:
        line.append(look.glyphs.ellipsis, QUIET)
    for place in range(start, len(allowed)):
        later = row.first_key + place > step.read
        if not allowed[place]:
            line.append(look.glyphs.blocked, BLOCKED)
        else:
            line.append("!" if later else look.glyphs.seen, FUTURE if later else SEEN)
    words = f"  {sum(allowed)} of {counted(step.read + 1, 'key')}"
    if row.first_key:
        words += f", {row.first_key} no longer kept"
    if len(step.rows) > 1:
        words += f", {layer_ranges(row.layers)}"
    return line.append(words)


def _looked_at(step: Step, tokens: Tokens) -> str:
    new = step.weights
    assert new is not None
    order = new.weights.argsort(descending=True, stable=True).tolist()[:LOOKED_AT]
    named = [
        f"{label_at(tokens, new.first_key + key)} ({new.first_key + key})"
        f" {percent(float(new.weights[key]))}"
        for key in order
        if float(new.weights[key]) >= 0.005
    ]
    if not named:
        most = percent(float(new.weights.nan_to_num().max()))
        named = [f"no key in particular, at most {most} each"]
    return f"{', '.join(named)}; layer {new.layer}, head {new.head}"


def _candidates(step: Step, look: Look) -> Text:
    line = Text()
    for place, one in enumerate(step.candidates):
        line.append("  " if place else "")
        line.append(look.spell(one.label), STRONG if place == 0 else "")
        line.append(f" {_chance(one.probability)}", QUIET if place else "")
    return line


def _chance(probability: float) -> str:
    return f"{probability:.1%}" if not probability < 0.0005 else "<.1%"


def _cache(state: CacheState, look: Look) -> Text:
    shape = f"{state.shape}, {state.bytes:,} bytes, {layer_ranges(state.layers)}"
    if state.kind != "state" and state.shape != state.value_shape:
        shape = f"{state.shape} and {shape.replace(str(state.shape), str(state.value_shape))}"
    if state.kind == "state":
        return Text(f"a state of fixed size {shape}, written anew")
    new = state.end - state.first_new
    words = f"keys and values {shape}; "
    words += f"new: {_span(state.first_new, state.end)}" if new else "nothing new"
    if state.dropped:
        words += f"; let go: {counted(state.dropped, 'entry')}"
    if state.unchanged is None:
        return Text(words)
    told = "the old ones unchanged, bit for bit" if state.unchanged else "OLD ONES CHANGED"
    return Text(f"{words}; {told}", style="" if state.unchanged else BAD)


def _span(start: int, end: int) -> str:
    return str(start) if end - start == 1 else f"{start} to {end - 1}"


def _cost(step: Step) -> str:
    words = f"{_spent(step.cached.tokens, step.cached.products)}"
    if step.cached == step.full:
        return words
    return f"{words}; without the cache {_spent(step.full.tokens, step.full.products)}"


def _spent(tokens: int, products: int) -> str:
    return f"{counted(tokens, 'token')}, {products:,} query · key products"


def _agreement(step: Step, limit: float, look: Look) -> Text:
    if isnan(limit):
        return Text(f"{look.glyphs.neutral} not compared, see below", style=CAUTION)
    if step.drift == 0:
        return Text(f"{look.glyphs.good} with the whole text read at once, bit for bit", style=GOOD)
    words = f"largest logit difference from the whole text read at once {step.drift:.1e}"
    if step.drift <= limit:
        return Text(f"{look.glyphs.good} {words}, rounding explains {limit:.1e}", style=GOOD)
    return Text(f"{look.glyphs.bad} NOT: {words}, rounding explains only {limit:.1e}", style=BAD)


if __name__ == "__main__":
    import torch
    from rich.console import Console

    from attnscope.records import Candidate, StepCost

    demo = Step(
        read=2,
        candidates=(Candidate(token=3, label="on", probability=0.92),),
        rows=(NewRow(layers=(0,), first_key=0, allowed=torch.tensor([True, True, True])),),
        weights=None,
        cache=(
            CacheState(
                kind="key/value", layers=(0,), shape=(1, 1, 3, 4), value_shape=(1, 1, 3, 4),
                bytes=96, first_new=2, end=3, dropped=0, unchanged=True,
            ),
        ),
        drift=0.0, cached=StepCost(tokens=1, products=3), full=StepCost(tokens=3, products=9),
    )  # fmt: skip
    names = ("The", "cat", "sat")
    demo_tokens = Tokens(ids=(0, 1, 2), texts=names, labels=names, special=(False,) * 3)
    Console().print(generation_step(demo, 2, demo_tokens, 1e-5))
