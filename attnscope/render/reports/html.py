"""A verdict as a web page of its own: no script, nothing from elsewhere, every word escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from attnscope.render.outcomes import ORDER, WORDS
from attnscope.render.palette import counted
from attnscope.render.reports.entries import Entry, of_reports
from attnscope.render.reports.groups import Alike, Reason, alike, defects, ended, reasons
from attnscope.render.reports.style import PAGE, STYLE
from attnscope.report import CheckResult, Outcome, Report
from attnscope.text import escape

SIGNS: dict[Outcome, str] = {
    "pass": "✓",
    "fail": "✗",
    "error": "✗",
    "skip": "?",
    "unpromised": "–",
    "accepted": "–",
}
LISTED = 50
"""Findings of one model that are told; the rest is counted."""
UNFOLDED = 4
"""Models up to which each stands open."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may load for this page: nothing."""


def html_page(entries: Sequence[Entry], title: str = "attnscope") -> str:
    """The whole page."""
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_say(title)}</title>\n<style>{PAGE}{STYLE}</style>\n</head>\n"
    )
    inside = "".join([_tag("h1", _say(title)), *_overview(entries), *_models(entries)])
    return f'{head}<body>\n<main class="attnscope">\n{inside}</main>\n</body>\n</html>\n'


def html_fragment(report: Report) -> str:
    """One verdict for a page that exists: a notebook's output cell."""
    inside = "".join(map(_model, of_reports([report])))
    return f'<div class="attnscope"><style>{STYLE}</style>{inside}</div>'


def _overview(entries: Sequence[Entry]) -> Iterator[str]:
    if len(entries) > 1:
        yield _table(
            ("model", "verdict", ""),
            (
                (f'<a href="#model-{place}">{_say(entry.model)}</a>', _chip(entry.outcome,
                 entry.word), _say(entry.words))
                for place, entry in enumerate(entries)
            ),
        )  # fmt: skip


def _models(entries: Sequence[Entry]) -> Iterator[str]:
    """A section a model; folded where there are so many that nobody reads them in order."""
    for place, entry in enumerate(entries):
        inside = f'<section class="model" id="model-{place}">{_model(entry)}</section>\n'
        if len(entries) <= UNFOLDED:
            yield inside
        else:
            name = f"{_say(entry.model)}{_chip(entry.outcome, entry.word)}"
            yield f"<details><summary>{name}</summary>{inside}</details>\n"


def _model(entry: Entry) -> str:
    return "".join(
        [
            _verdict(entry), _facts(entry), _counts(entry), _findings(entry), _script(entry),
            *_reasons(entry),
            _checks(entry), _remarks(entry),
        ]
    )  # fmt: skip


def _verdict(entry: Entry) -> str:
    word = f"{SIGNS[entry.outcome]} {_say(entry.word)}"
    name = f'<span class="name">{_say(entry.model)}</span>'
    words = entry.words[:1].upper() + entry.words[1:]
    inside = f"<h2>{word} {name}</h2>{_tag('p', _say(words))}"
    return f'<div class="verdict {entry.outcome}">{inside}</div>'


def _facts(entry: Entry) -> str:
    pairs = "".join(
        f"<div>{_tag('dt', _say(name))}{_tag('dd', _say(value))}</div>"
        for name, value in entry.facts
        if value
    )
    return f'<dl class="facts">{pairs}</dl>'


def _counts(entry: Entry) -> str:
    chips = _chips(entry.results)
    return f'<div class="counts">{chips}</div>' if chips else ""


def _findings(entry: Entry) -> str:
    found = alike(defects(entry, ended(entry, "fail")))
    cards = "".join(_finding(each) for each in found[:LISTED])
    more = len(found) - LISTED
    rest = _tag("p", f"… and {counted(more, 'more place')}.") if more > 0 else ""
    return f"<h3>Findings</h3>{cards}{rest}" if found else ""


def _finding(found: Alike) -> str:
    defect = found.worst
    module = defect.finding.module
    facts = [*map(_say, defect.place[:-1] if module else defect.place)]
    facts += [f"in <code>{_say(module)}</code>"] if module else []
    facts = [*map(_say, (defect.seen, defect.size)), *facts, _say(defect.others)]
    where, fix = " · ".join(filter(None, facts)), defect.result.fix
    return (
        f'<div class="finding fail"><p class="title">{_say(defect.title)}</p>'
        f"<p>{_say(defect.finding.message)}</p>"
        f'<p class="where">{where}</p>'
        + (f'<p class="where">{_say(found.also)}</p>' if found.also else "")
        + (f'<p class="fix"><b>Fix:</b> {_say(fix)}</p>' if fix else "")
        + "</div>"
    )


def _script(entry: Entry) -> str:
    if not entry.reproducer:
        return ""
    lines = "\n".join(map(_line, entry.reproducer.rstrip("\n").split("\n")))
    name = "A script that shows the worst finding"
    return f"<details><summary>{name}</summary><pre><code>{lines}</code></pre></details>"


def _reasons(entry: Entry) -> Iterator[str]:
    """Why there is no answer, in the open; what was never promised stands with its check alone."""
    for outcome, heading in HEADINGS.items():
        told = reasons(entry, outcome)
        pairs = "".join(map(_reason, told[:LISTED]))
        more = len(told) - LISTED
        rest = _tag("dt", "…") + _tag("dd", f"and {more} more") if more > 0 else ""
        if told:
            yield f'<h3>{heading}</h3><dl class="remarks">{pairs}{rest}</dl>'


HEADINGS: dict[Outcome, str] = {
    "error": "Errors of the checker itself",
    "accepted": "Accepted by the baseline",
    "skip": "Not checked",
}


def _reason(reason: Reason) -> str:
    where = f" ({' · '.join(reason.conditions)})" if reason.conditions else ""
    words = f"{reason.words}{where}"
    return _tag("dt", _say(", ".join(reason.codes))) + _tag("dd", _say(words))


def _checks(entry: Entry) -> str:
    by_check: dict[str, list[CheckResult]] = {}
    for result in entry.results:
        by_check.setdefault(f"{result.code} {result.name}".strip(), []).append(result)
    rows = "".join(_check(name, results) for name, results in by_check.items())
    return f"<h3>Checks</h3>{rows}\n" if rows else ""


def _check(name: str, results: Sequence[CheckResult]) -> str:
    table = _table(
        ("condition", "on", "outcome", ""),
        (
            (_say(each.condition or "plain"), _say(each.backend),
             _chip(each.outcome, WORDS[each.outcome]), _say(each.reason))
            for each in sorted(results, key=lambda each: ORDER.index(each.outcome))
        ),
        "checks",
    )  # fmt: skip
    return f"<details><summary>{_say(name)} {_chips(results)}</summary>{table}</details>\n"


def _remarks(entry: Entry) -> str:
    pairs = "".join(
        _tag("dt", _say(name)) + _tag("dd", _say(words)) for name, words in entry.remarks
    )
    return f'<h3>Remarks</h3><dl class="remarks">{pairs}</dl>' if pairs else ""


def _chips(results: Sequence[CheckResult]) -> str:
    """How many results ended how, the loudest first."""
    numbers = {outcome: sum(each.outcome == outcome for each in results) for outcome in ORDER}
    return " ".join(
        _chip(outcome, f"{number:,} {WORDS[outcome]}")
        for outcome, number in numbers.items()
        if number
    )


def _chip(outcome: Outcome, words: str) -> str:
    return f'<span class="chip {outcome}">{SIGNS[outcome]} {_say(words)}</span>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "models") -> str:
    """Of cells that are HTML already."""
    head = "".join(_tag("th", each) for each in heads)
    body = "".join(f"<tr>{''.join(_tag('td', each) for each in row)}</tr>\n" for row in rows)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _tag(name: str, inside: str) -> str:
    return f"<{name}>{inside}</{name}>"


def _say(words: str) -> str:
    """Foreign words, spelled out and escaped, for text and attributes."""
    return html.escape(escape(words), quote=True)


def _line(words: str) -> str:
    return "\t".join(map(_say, words.split("\t")))
