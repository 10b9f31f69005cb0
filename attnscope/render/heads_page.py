"""The whole page that `attnscope heads` prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.heads_options import Order
from attnscope.records import Heads
from attnscope.render.flow import flow
from attnscope.render.focus_map import focus_map
from attnscope.render.hanging import hanging
from attnscope.render.head_table import head_name, head_table
from attnscope.render.header import facts
from attnscope.render.heatmap import heatmaps
from attnscope.render.page import remark, rule
from attnscope.render.palette import BAD, CAUTION, FUTURE, QUIET, STRONG, Fitted, Look, counted
from attnscope.render.token_table import token_table
from attnscope.render.windows import reading
from attnscope.text import fit

BEGINNING = 200
"""Tokens of which as many are shown as one line holds."""
ZOOM = "--rows A:B --keys C:D draws a part of it, exactly where that part is small enough"
LISTED = 8
"""Heads, or reasons, that are named; the rest is counted."""
WINDOWS = (
    "The text is longer than what is read at once, so it was cut into windows: tokens of different"
    " windows did not see each other. Numbers are means over all queries, and what is said of the"
    " first token holds for the first of each window."
)


def heads_page(heads: Heads, order: Order) -> RenderableType:
    """Model and text, map, heads in order, tokens, heatmaps, and how far all that is verified."""
    parts: list[RenderableType] = [rule("1  Model and text"), _header(heads)]
    if heads.focus:
        parts += [rule("2  Map: what each head does"), focus_map(heads.focus)]
        parts += [rule(f"3  Heads by {order.sort}"), head_table(heads.focus, heads.tokens, order)]
        parts += [rule("4  Tokens that receive most attention"), token_table(heads, order.top)]
        if heads.views:
            parts.append(rule("5  Heatmap" + "s" * (len(heads.views) > 1)))
            parts.append(heatmaps(heads.views, heads.tokens, windows=heads.windows))
            if any(view.pool > 1 for view in heads.views):
                parts.append(remark(ZOOM, QUIET))
    else:
        parts.append(rule("2  Attention"))
    parts += [rule("Verified"), Fitted(lambda width, look: Group(*_trust(heads, width, look)))]
    if heads.notes:
        parts.append(rule("Notes"))
        parts.append(Fitted(lambda width, look: Group(*_told(heads.notes, "", width, look))))
    return Group(*parts)


def _header(heads: Heads) -> RenderableType:
    return Fitted(lambda width, look: Group(*_draw_header(heads, width, look)))


def _draw_header(heads: Heads, width: int, look: Look) -> list[Text]:
    lines = flow(facts(heads.model, look), look.say(" · "), width)
    words = look.say(reading(len(heads.tokens), heads.windows, heads.seconds))
    lines += hanging(Text(), words, width, STRONG)
    beginning = " ".join(map(look.spell, heads.tokens.labels[:BEGINNING]))
    more = look.glyphs.ellipsis * (len(heads.tokens) > BEGINNING)
    lines.append(Text(fit(beginning + more, width, look.glyphs.ellipsis), style=QUIET))
    if len(heads.windows) > 1:
        lines += hanging(Text(), look.say(WINDOWS), width)
    return lines


def _trust(heads: Heads, width: int, look: Look) -> list[Text]:
    """What was recomputed, what leaks, and what was not looked at."""
    if not heads.focus:
        words = "Nothing was checked: no attention was seen, so there is no weight."
        return [Text(look.say(words), style=CAUTION), *_unchecked(heads, width, look)]
    doubted = [one for one in heads.focus if not one.verified]
    lines = hanging(Text(), look.say(_compared(heads)), width)
    if doubted:
        names = _listed(map(head_name, doubted))
        words = f"{counted(len(doubted), 'head')} not verified: {names}"
        lines += hanging(Text("? ", CAUTION), look.say(words), width, CAUTION)
    leaking = [one for one in heads.focus if one.future_weight > 0]
    if leaking:
        worst = max(leaking, key=lambda one: one.future_weight)
        words = f"WEIGHT ON A LATER TOKEN in {_listed(map(head_name, leaking))}; the largest is"
        words += f" {worst.future_weight:.4g}, in {head_name(worst)}."
        words += f" Run `attnscope verify-mask {shlex.quote(heads.model.name)}`."
        lines += hanging(Text.assemble(("!", FUTURE), " "), look.say(words), width, BAD)
    return lines + _unchecked(heads, width, look)


def _compared(heads: Heads) -> str:
    """How much of the output was recomputed."""
    fewest, most = (pick(one.compared for one in heads.focus) for pick in (min, max))
    if most == 0:
        return "Nothing could be recomputed, so no weight is confirmed by the kernel's output."
    rows = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    words = f"Each head's output was recomputed for {rows} of"
    words += f" {counted(len(heads.tokens), 'query').replace('querys', 'queries')}"
    words += " and held against the kernel's own"
    if all(one.verified for one in heads.focus):
        return f"{words}; every head verified."
    return f"{words}."


def _listed(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - LISTED:,} more" if len(known) > LISTED else ""
    return ", ".join(known[:LISTED]) + more


def _unchecked(heads: Heads, width: int, look: Look) -> list[Text]:
    return _told(heads.unchecked, "not checked: ", width, look, CAUTION)


def _told(
    reasons: tuple[str, ...], lead: str, width: int, look: Look, style: str = ""
) -> list[Text]:
    lines: list[Text] = []
    for reason in reasons[:LISTED]:
        lines += hanging(Text(), look.say(lead + reason), width, style)
    more = len(reasons) - LISTED
    return [*lines, Text(look.say(f"{lead}{more:,} more"), style=style)] if more > 0 else lines


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import heads as demo

    Console().print(heads_page(demo(), Order()))
