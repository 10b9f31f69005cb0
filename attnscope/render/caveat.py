"""What attention weights do not explain."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import HandTrace, Tokens
from attnscope.render.grid import label_at
from attnscope.render.hanging import hanging
from attnscope.render.palette import CAUTION, QUIET, Fitted, Look, percent

POINTS = (
    "A weight says how much of a value vector is mixed in, not what that does. A long vector with a"
    " small weight can matter more than a short one with a large weight (Kobayashi et al. 2020,"
    " arXiv:2004.10102).",
    "From the second layer on, a position is no longer its token alone: it already holds a mixture"
    " of those before it. Weight on a position is not weight on a word (Brunner et al. 2020,"
    " arXiv:1908.04211).",
    "Weight has to go somewhere, because each row adds up to 1. Much of it rests on the first token"
    " or on punctuation and means: nothing to do here (Xiao et al. 2023, arXiv:2309.17453).",
    "Other weights can lead to the same prediction, and whether weights explain one is disputed"
    " (Jain and Wallace 2019, arXiv:1902.10186; Wiegreffe and Pinter 2019, arXiv:1908.04626).",
    "What a token really changes is found by changing it: attnscope verify-mask does, and section 4"
    " of attnscope compare shows one such change.",
)
"""Each with its source."""


TELLING = 0.03
"""Difference of two shares from which on it is an example."""


def caveat(hand: HandTrace | None = None, tokens: Tokens | None = None) -> RenderableType:
    """Five reasons for care, the first with the numbers of a traced query where there is one."""
    return Fitted(lambda width, look: Group(*_draw(hand, tokens, width, look)))


def _draw(hand: HandTrace | None, tokens: Tokens | None, width: int, look: Look) -> list[Text]:
    lines = [Text(), Text("What these weights do not explain", style=CAUTION)]
    for place, point in enumerate(POINTS):
        words = point
        if place == 0 and hand and tokens:
            words += _here(hand, look.read(tokens))
        lines += hanging(Text("- ", style=QUIET), look.say(words), width)
    return lines


def _here(hand: HandTrace, tokens: Tokens) -> str:
    """What the largest weight of the traced query amounts to."""
    weights = hand.weights.nan_to_num()
    parts = weights * hand.value_lengths
    total = float(parts.sum())
    if not total > 0:
        return ""
    key = int((weights - parts / total).abs().argmax())
    weight, part = float(weights[key]), float(parts[key]) / total
    if abs(weight - part) < TELLING:
        return ""
    names = [f"{label_at(tokens, place)} ({place})" for place in (hand.query_index, key)]
    names[1] = "itself" if key == hand.query_index else names[1]
    return (
        f" Here {names[0]} gives {percent(weight)} of its weight to {names[1]}, which makes"
        f" {percent(part)} of what is added up."
    )


if __name__ == "__main__":
    from rich.console import Console

    Console().print(caveat())
