"""All checks at a glance: code, name, family, and the defect that each finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.checks.base import Check
from attnscope.render.check_page import check_json
from attnscope.render.hanging import hanging
from attnscope.render.palette import CAUTION, QUIET, STRONG, Fitted, Look, counted

SCHEMA = 1


def check_list(checks: Sequence[type[Check]]) -> RenderableType:
    """One line a check, under one heading a family."""
    return Fitted(lambda width, look: Group(*_draw(checks, width, look)))


def check_list_json(checks: Sequence[type[Check]]) -> dict[str, Any]:
    """The checks as plain data for `json.dumps`."""
    return {"schema": SCHEMA, "checks": [check_json(check) for check in checks]}


def _draw(checks: Sequence[type[Check]], width: int, look: Look) -> list[Text]:
    if not checks:
        return [Text(look.say("There are no checks."), CAUTION)]
    names = [look.say(f"{check.code} {check.name}") for check in checks]
    column = max(map(cell_len, names))
    lines: list[Text] = []
    family = None
    for check, name in zip(checks, names, strict=True):
        if check.family != family:
            family = check.family
            lines.append(Text(look.say(family), QUIET))
        lead = Text(name.ljust(column) + "  ", STRONG)
        lines += hanging(lead, look.say(check.title()), width)
    words = f"{counted(len(checks), 'check')}; `attnscope explain CODE` tells all about one"
    return [*lines, *hanging(Text(), look.say(words), width, QUIET)]


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import FutureInfluence

    Console().print(check_list([FutureInfluence]))
