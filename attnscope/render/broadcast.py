"""How a mask of one matrix meets the scores of all sequences and heads."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import BroadcastStep
from attnscope.render.hanging import hanging
from attnscope.render.palette import QUIET, STRONG, Fitted, Look


def broadcast(steps: tuple[BroadcastStep, ...]) -> RenderableType:
    """One paragraph a step: what is called, the shape that comes out, what it costs, and why."""
    return Fitted(lambda width, look: Group(*_draw(steps, width, look)))


def _draw(steps: tuple[BroadcastStep, ...], width: int, look: Look) -> list[Text]:
    code = max(len(step.code) for step in steps) + 2
    lines = [Text(look.say(f"{steps[0].shape} → {steps[-1].shape}"), style=STRONG), Text()]
    for step in steps:
        facts = f"{step.shape}, steps {step.strides}, {step.stored:,} bytes in memory"
        lead = Text(step.code.ljust(code), style=STRONG)
        lines += hanging(lead, facts, width)
        below = hanging(Text(" " * code), look.say(step.words), width, QUIET)
        lines += [line for line in below if line.plain.strip()]
    return lines


if __name__ == "__main__":
    from rich.console import Console

    demo = BroadcastStep(
        code="mask", shape=(10, 10), strides=(10, 1), stored=100, words="one cell a pair"
    )
    Console().print(broadcast((demo,)))
