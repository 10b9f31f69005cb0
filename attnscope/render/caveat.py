"""What attention weights do not explain."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.render.hanging import hanging
from attnscope.render.palette import CAUTION, QUIET, Fitted, Look

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


def caveat() -> RenderableType:
    """Five reasons for care."""
    return Fitted(lambda width, look: Group(*_draw(width, look)))


def _draw(width: int, look: Look) -> list[Text]:
    lines = [Text(), Text("What these weights do not explain", style=CAUTION)]
    for point in POINTS:
        lines += hanging(Text("- ", style=QUIET), look.say(point), width)
    return lines


if __name__ == "__main__":
    from rich.console import Console

    Console().print(caveat())
