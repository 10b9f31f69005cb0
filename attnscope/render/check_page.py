"""All about one check, for `attnscope explain`; and all checks as docs/checks.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.checks.base import Check
from attnscope.conditions import CONDITIONS, Condition
from attnscope.render.hanging import hanging
from attnscope.render.palette import QUIET, SEEN, STRONG, Fitted, Look

INTRODUCTION = """\
# Checks

What `attnscope verify-mask` asks a model. Each check is asked in one or more
[conditions](#conditions), on every attention backend that was chosen; where a model never promised
to support a condition, a difference is shown and counts neither way.

This page is generated from the checks themselves: `python -m attnscope.render.check_page`. In a
terminal, `attnscope explain CODE` shows one of them.
"""


def check_page(check: type[Check]) -> RenderableType:
    """Title, sections, and the conditions in which it is asked with what decides each."""
    return Fitted(lambda width, look: Group(*_draw(check, width, look)))


def check_json(check: type[Check]) -> dict[str, Any]:
    """The same as plain data for `json.dumps`."""
    return {
        "code": check.code,
        "name": check.name,
        "family": check.family,
        "title": check.title(),
        "required": check.required,
        "sections": check.sections(),
        "conditions": [
            {
                "name": each.title,
                "quick": key in check.quick,
                "words": each.words,
                "promise": each.promise.text,
                "source": each.promise.source,
            }
            for key, each in _asked(check)
        ],
    }


def _asked(check: type[Check]) -> list[tuple[str, Condition]]:
    return [(key, CONDITIONS[key]) for key in check.conditions]


def _draw(check: type[Check], width: int, look: Look) -> list[Text]:
    family = f"{check.family}, required" if check.required else check.family
    lines = hanging(Text(look.say(f"{check.code} {check.name}"), STRONG), "", width)
    lines[0].append(look.say(f"  {family}"), QUIET)
    lines += hanging(Text(), look.say(check.title()), width)
    for heading, text in check.sections().items():
        lines += [Text(), Text(look.say(heading), STRONG)]
        lines += hanging(Text("  "), look.say(_begun(text)), width)
    lines += [Text(), Text("Asked in", STRONG)]
    for key, condition in _asked(check):
        lines += _condition(condition, key in check.quick, width, look)
    return lines


def _condition(condition: Condition, quick: bool, width: int, look: Look) -> list[Text]:
    lead = Text("  ").append(look.say(condition.title), SEEN)
    if quick:
        lead.append(look.say("  also with --quick"), QUIET)
    return [
        lead,
        *hanging(Text("    "), look.say(condition.words), width),
        *hanging(Text("    held to it: ", QUIET), look.say(condition.promise.text), width),
        *hanging(Text("    source: ", QUIET), look.say(condition.promise.source), width, QUIET),
    ]


def checks_markdown(checks: Sequence[type[Check]]) -> str:
    """The whole of docs/checks.md: a table, a section a check, and the conditions they share."""
    table = [
        "| Code | Name | Family | What it finds |",
        "|---|---|---|---|",
        *(
            f"| [{check.code}](#{_anchor(_title(check))}) | {check.name} | {check.family} |"
            f" {_cell(check.title())} |"
            for check in checks
        ),
    ]
    asked = {key for check in checks for key in check.conditions}
    conditions = [each for key, each in CONDITIONS.items() if key in asked]
    parts = [INTRODUCTION, "\n".join(table) + "\n"]
    parts += [_section(check) for check in checks]
    parts += ["## Conditions\n", *(_condition_section(each) for each in conditions)]
    return "\n".join(parts)


def _section(check: type[Check]) -> str:
    required = " Required: without a pass nothing is clean." if check.required else ""
    parts = [f"## {_title(check)}", f"{_ended(check.title())}{required}"]
    for heading, text in check.sections().items():
        parts += [f"### {heading}", _begun(text)]
    links = [
        f"[{each.title}](#{_anchor(each.title)})" + (" (quick)" if key in check.quick else "")
        for key, each in _asked(check)
    ]
    return "\n\n".join([*parts, "### Conditions", ", ".join(links)]) + "\n"


def _condition_section(condition: Condition) -> str:
    lines = [
        f"### {condition.title}",
        condition.words,
        f"- Held to it: {condition.promise.text}\n- Source: {condition.promise.source}",
    ]
    return "\n\n".join(lines) + "\n"


def _title(check: type[Check]) -> str:
    return f"{check.code} {check.name}"


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    kept = (each for each in heading.lower() if each.isalnum() or each in " -_")
    return "".join(kept).replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _begun(text: str) -> str:
    """What goes on after a colon in the docstring starts a paragraph here."""
    return text[:1].upper() + text[1:]


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


if __name__ == "__main__":
    import sys

    from attnscope.checks import CHECKS

    sys.stdout.write(checks_markdown(CHECKS))
