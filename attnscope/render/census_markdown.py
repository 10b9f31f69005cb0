"""The census as a page in Markdown: docs/census.md is one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from attnscope.records.census import Census, Row
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
from attnscope.render.palette import counted
from attnscope.text import escape

SIGNS = {
    "pass": "✓",
    "fail": "**✗**",
    "error": "!",
    "skip": "?",
    "unpromised": "–",
    "accepted": "–",
    "": "",
}
STATES = {"fail": "**fail**", "skip": "unchecked", "error": "no verdict"}

INTRODUCTION = """\
# Census

Every causal language model that transformers registers, shrunken, with random weights, judged by
`attnscope verify-mask` on every attention backend on which it runs. The wiring was judged, no
checkpoint. What each finding comes from stands in [findings.md](findings.md); what a code means, in
[checks.md](checks.md).

This page is generated: `attnscope census --from docs/census.jsonl --format markdown`."""

LEGEND = """\
One sign for each family of checks: observer (O), weights (W), mask (M), influence (I), serving (S),
backends (B). ✓ pass · ✗ finding · ? could not be asked · empty: nothing to ask. A type marked
*default* is no causal model as its default config builds it; the row without the mark has the
switch that makes it one. *In common*: every finding of the row is one that many rows have."""


def census_markdown(census: Census) -> str:
    """A page: how it was made, a short reading, the table, and the findings."""
    parts = [
        INTRODUCTION, f"{made_with(census)}; {_work(census)}", "## In short",
        "\n".join(f"- {line}" for line in _reading(census.rows)), "## The table", LEGEND,
        "\n".join(_table(census.rows)), "## The findings", "\n".join(_findings(census.rows)),
        "## What was not judged", "\n".join(_without(census.rows)), *_accepted(census),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _work(census: Census) -> str:
    return f"{census.seconds / 60:.0f} minutes of work in all"


def _reading(rows: Sequence[Row]) -> Iterator[str]:
    types = len({row.model_type for row in rows})
    yield f"{counted(types, 'model type')}, {counts(rows)}."
    judged = [row for row in rows if row.controls]
    yield f"In {len(judged)} rows every control and the influence on whole logits were answered."
    ran = Counter(backend for row in rows for backend in row.backends)
    yield "Backends: " + ", ".join(f"{name} runs {number}" for name, number in ran.items()) + "."
    mixers = Counter(mixer for row in rows if not row.variant for mixer in row.mixers)
    told = ", ".join(f"{mixer} in {number}" for mixer, number in mixers.most_common())
    yield f"Tokens meet in: {told} (types that have several count in each)."
    seams = Counter(" and ".join(row.seam) or "none" for row in rows if row.backends)
    told = ", ".join(f"{seam} {number}" for seam, number in seams.most_common())
    yield f"Attention was seen at: {told}."
    yield from _failing(rows)


def _failing(rows: Sequence[Row]) -> Iterator[str]:
    common = shared(rows)
    by_default = [row for row in rows if row.state == "fail" and row.variant]
    failed = [row for row in rows if row.state == "fail" and not row.variant]
    others = [row for row in failed if own(row, common)]
    if by_default:
        yield (
            f"{len(by_default)} types see the future as their default config builds them."
            if len(by_default) > 1
            else "1 type sees the future as its default config builds it."
        )
    if len(others) < len(failed):
        number = len(failed) - len(others)
        yield f"{number} others share all of their findings with many: see below."
    ahead = [row for row in others if any(one.code == "ATN301" for one in own(row, common))]
    named = ", ".join(row.key for row in ahead) or "none"
    yield f"Of the rest these let a later token move an earlier position: {named}."
    rest = ", ".join(row.key for row in others if row not in ahead) or "none"
    yield f"Other findings of their own (padding, caches, windows): {rest}."


def _table(rows: Sequence[Row]) -> Iterator[str]:
    letters = [family[0].upper() for family in FAMILIES]
    common = shared(rows)
    heads = ["type", "class", "mixers", "seam", "backends", "verdict", *letters, "findings", "s"]
    yield _row(heads)
    yield _row(["---"] * len(heads))
    for row in rows:
        outcomes = dict(row.families)
        signs = [SIGNS[outcomes.get(family, "")] for family in FAMILIES]
        codes = ", ".join(one.code for one in together(row.findings))
        name = f"{row.model_type} *{row.variant}*" if row.variant else row.model_type
        yield _row(
            [name, row.architecture, ", ".join(row.mixers), ", ".join(row.seam),
             ", ".join(map(short, row.backends)), _verdict(row, common), *signs, codes,
             f"{row.seconds:.0f}"]
        )  # fmt: skip


def _verdict(row: Row, common: Mapping[Place, int]) -> str:
    alone = row.state != "fail" or own(row, common)
    return STATES.get(row.state, row.state) if alone else "fail, in common"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _findings(rows: Sequence[Row]) -> Iterator[str]:
    common = shared(rows)
    yield "The worst of each check, where it enters, and in which conditions and on which backends."
    if common:
        yield "\n### In many rows\n"
    for place, number in sorted(common.items()):
        key, one = spokesman(rows, place)
        where = f"{one.condition or 'plain'}; {short(one.backend)}"
        yield f"- **{one.code}** ({where}) in {number} rows; {key}: {_plain(one.message)}"
    alike = [row.key for row in rows if row.findings and not own(row, common)]
    if alike:
        yield f"\nNothing else was found in {', '.join(alike)}."
    for row in rows:
        groups = together(own(row, common))
        if not groups:
            continue
        yield f"\n### {row.key}\n"
        told = groups[:1] if row.variant else groups  # all of those come from one switch
        for group in told:
            yield f"- **{group.code}** ({group.where}): {_plain(group.worst.message)}"
        if len(told) < len(groups):
            yield f"- and {', '.join(group.code for group in groups[1:])}"
        if others := in_common(row, common):
            yield f"- in common with many: {others}"


def _without(rows: Sequence[Row]) -> Iterator[str]:
    """Rows without a verdict, and backends that a type says it supports and does not run on."""
    for row in rows:
        if row.reason:
            yield f"- {row.key}: {_plain(row.reason)}"
        for backend, reason in lost(row):
            yield f"- {row.key} on {backend}: {_plain(reason)}"


def _accepted(census: Census) -> Iterator[str]:
    """What a baseline accepts, and its notes; nothing without one."""
    told = [f"- {row.key}: {_plain(words)}" for row in census.rows for words in accepted(row)]
    if told or census.notes:
        yield "## The baseline"
        yield "\n".join([*told, *(f"- {_plain(words)}" for words in census.notes)])


def _plain(words: str) -> str:
    """Words in which Markdown finds no mark-up."""
    return re.sub(r"([\\`*_<\[\]|])", r"\\\1", escape(words))
