"""Verdicts on several models: a page each, and all of them in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.render.hanging import hanging
from attnscope.render.headline import sentence
from attnscope.render.outcomes import mark
from attnscope.render.page import rule
from attnscope.render.palette import STRONG, Fitted, Look, counted
from attnscope.render.verdict import verdict
from attnscope.report import Outcome, Report
from attnscope.text import escape, fit

WORDS: dict[Outcome, str] = {
    "fail": "with findings",
    "error": "without a verdict",
    "skip": "not checked",
    "pass": "passed",
}
NAME = 40
"""Columns of the longest name of a model in the closing lines."""


def verdicts(reports: Sequence[Report]) -> RenderableType:
    """Each report under its model's name; where there are several, a line each at the end."""
    parts: list[RenderableType] = []
    for number, report in enumerate(reports, 1):
        parts += [_titled(f"{number} of {len(reports)}  {report.model.name}"), verdict(report)]
    if len(reports) > 1:
        parts += [rule("All together"), all_together(reports)]
    return Group(*parts)


def _titled(name: str) -> RenderableType:
    return Fitted(
        lambda width, look: rule(fit(look.say(escape(name)), width, look.glyphs.ellipsis))
    )


def all_together(reports: Sequence[Report]) -> RenderableType:
    """A line a model, and how many came to what."""
    return Fitted(lambda width, look: Group(*_draw(reports, width, look)))


def _draw(reports: Sequence[Report], width: int, look: Look) -> Iterator[Text]:
    names = [fit(look.say(report.model.name), NAME, look.glyphs.ellipsis) for report in reports]
    signs = [mark(report.outcome, look) for report in reports]
    widest = max(map(cell_len, names)), max(sign.cell_len for sign in signs)
    for report, name, sign in zip(reports, names, signs, strict=True):
        lead = Text.assemble(sign, " " * (widest[1] - sign.cell_len + 2), (name, STRONG))
        lead.append(" " * (widest[0] - cell_len(name) + 2))
        yield from hanging(lead, look.say(sentence(report)), width)
    outcomes = [report.outcome for report in reports]
    told = [f"{outcomes.count(one)} {words}" for one, words in WORDS.items() if one in outcomes]
    total = f"{counted(len(reports), 'model')}: {', '.join(told)}"
    yield from hanging(Text(), look.say(total), width, STRONG)


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console().print(verdicts([leaking(), leaking()]))
