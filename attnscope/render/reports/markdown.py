"""A verdict in Markdown, for pull requests and job summaries.

Names, tokens and messages are foreign: they become code spans or escaped words, so that none of
them is mark-up, a link, a reference or a mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attnscope.render.outcomes import ORDER, WORDS
from attnscope.render.palette import counted
from attnscope.render.reports.entries import Entry
from attnscope.render.reports.groups import Alike, alike, defects, ended, reasons
from attnscope.report import CheckResult, Outcome
from attnscope.text import escape

SIGNS: dict[Outcome, str] = {
    "pass": "✅",
    "fail": "❌",
    "error": "💥",
    "skip": "❔",
    "unpromised": "➖",
    "accepted": "☑️",
}
LISTED = 20
"""Findings, and reasons why something was not checked, that are told of one model."""
INVISIBLE = "\u200b"
"""Takes the meaning from what GitHub finds in plain text: mentions, references, addresses."""


def markdown(entries: Sequence[Entry]) -> str:
    """A section a model; where there are several, a table of all before them."""
    parts = ["\n".join(_overview(entries))] if len(entries) > 1 else []
    for entry in entries:
        parts += _section(entry)
    return "\n\n".join(filter(None, parts)) + "\n"


def code(words: str) -> str:
    """Foreign words as a code span; nothing for no words."""
    text = escape(words)
    if not text.strip():
        return f"`'{text}'`" if text else ""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    edge = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def plain(words: str) -> str:
    """Foreign words in which nothing is mark-up, on one line."""
    text = re.sub(r"([\\`*\[\]<>!|~$&]|(?<!\w)_|_(?!\w))", r"\\\1", escape(words))
    text = re.sub(r"^(?=[-+#=]|\d+[.)])", INVISIBLE, text)
    text = re.sub(r"(@|:)(?=[\w+-])|(#)(?=\d)|\b(GH)(?=-\d)", rf"\g<0>{INVISIBLE}", text)
    return re.sub(r"(?i)\b(https?|ftp|www)(?=[:.])", rf"\1{INVISIBLE}", text)


def _overview(entries: Sequence[Entry]) -> Iterator[str]:
    yield from _table(
        ("model", "verdict", ""),
        (
            (code(entry.model), f"{SIGNS[entry.outcome]} {entry.word}", plain(entry.words))
            for entry in entries
        ),
    )


def _section(entry: Entry) -> Iterator[str]:
    yield f"## {SIGNS[entry.outcome]} {entry.word}: {code(entry.model)}"
    yield plain(entry.words[:1].upper() + entry.words[1:]) + "."
    yield " · ".join(f"{name} {code(value)}" for name, value in entry.facts if value)
    found = alike(defects(entry, ended(entry, "fail")))
    if found:
        yield "### Findings"
        yield "\n".join(line for each in found[:LISTED] for line in _finding(each))
        if len(found) > LISTED:
            yield f"… and {counted(len(found) - LISTED, 'more place')}."
    yield from _reproducer(entry)
    if entry.results:
        yield "### Checks"
        yield "\n".join(_checks(entry))
    for outcome, heading in HEADINGS.items():
        yield _folded(heading, _why(entry, outcome))
    yield _folded("Remarks", [f"- **{name}**: {plain(words)}" for name, words in entry.remarks])


HEADINGS: dict[Outcome, str] = {
    "error": "Errors of the checker itself",
    "accepted": "Accepted by the baseline",
    "skip": "Not checked",
    "unpromised": "Not promised",
}


def _finding(found: Alike) -> Iterator[str]:
    defect = found.worst
    place = [code(defect.result.condition or "plain"), code(defect.result.backend)]
    yield f"- **{plain(defect.title)}** ({', '.join(filter(None, place))})"
    yield f"  - {plain(defect.finding.message)}"
    facts = [plain(defect.seen), plain(defect.size)]
    facts += [
        f"{name} {number}"
        for name, number in (("layer", defect.finding.layer), ("head", defect.finding.head))
        if number is not None
    ]
    facts += [code(defect.finding.module), plain(defect.others)]
    if any(facts):
        yield f"  - {' · '.join(filter(None, facts))}"
    if found.also:
        yield f"  - {plain(found.also)}"
    if defect.result.fix:
        yield f"  - Fix: {plain(defect.result.fix)}"


def _checks(entry: Entry) -> Iterator[str]:
    """A row a check, a column for each outcome that occurs, how often in each cell."""
    shown = [outcome for outcome in ORDER if ended(entry, outcome)]
    by_check: dict[str, list[CheckResult]] = {}
    for result in entry.results:
        by_check.setdefault(f"{result.code} {result.name}".strip(), []).append(result)
    heads = ("check", *(f"{SIGNS[outcome]} {WORDS[outcome]}" for outcome in shown))
    yield from _table(
        heads,
        (
            (plain(name), *(_number(results, outcome) for outcome in shown))
            for name, results in by_check.items()
        ),
    )


def _number(results: Sequence[CheckResult], outcome: Outcome) -> str:
    number = sum(result.outcome == outcome for result in results)
    return f"{number:,}" if number else ""


def _why(entry: Entry, outcome: Outcome) -> list[str]:
    told = []
    for reason in reasons(entry, outcome):
        words = f"- {', '.join(map(plain, reason.codes))}"
        words += f" ({' · '.join(map(plain, reason.conditions))})" if reason.conditions else ""
        told.append(f"{words}: {plain(reason.words)}" if reason.words else words)
    more = len(told) - LISTED
    return [*told[:LISTED], f"- … and {more} more"] if more > 0 else told


def _reproducer(entry: Entry) -> Iterator[str]:
    if entry.reproducer:
        script = entry.reproducer.rstrip("\n")
        fence = "`" * max(3, max(map(len, re.findall("`+", script)), default=0) + 1)
        lines = [f"{fence}python", *map(_line, script.split("\n")), fence]
        yield _folded("A script that shows the worst finding", lines)


def _line(words: str) -> str:
    return "\t".join(map(escape, words.split("\t")))


def _folded(heading: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    inside = "\n".join(lines)
    return f"<details><summary>{heading}</summary>\n\n{inside}\n\n</details>"


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        cells = (re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in row)
        yield f"| {' | '.join(cells)} |"
