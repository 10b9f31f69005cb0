"""JUnit XML: a test suite a model, a test case for each check in a condition on a backend.

Valid by the schema of Jenkins' xUnit plugin (junit-10.xsd), which what reads JUnit agrees on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from attnscope.render.palette import counted
from attnscope.render.reports.entries import Entry
from attnscope.render.reports.groups import Defect, defects
from attnscope.report import CheckResult
from attnscope.text import escape

LISTED = 20
"""Findings that one failure tells; the rest is counted."""
WHY_SKIPPED = {
    "skip": "not checked",
    "unpromised": "not promised, so the difference is no finding",
    "accepted": "accepted by the baseline",
}


def junit(entries: Sequence[Entry]) -> str:
    """The document, with its declaration."""
    root = Element("testsuites", name="attnscope")
    for entry in entries:
        _suite(root, entry)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", _seconds(sum((float(suite.get("time", "0")) for suite in root), 0.0)))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, entry: Entry) -> None:
    suite = SubElement(root, "testsuite", name=escape(entry.model))
    properties = SubElement(suite, "properties")
    for name, value in (("verdict", f"{entry.word}: {entry.words}"), *entry.facts):
        SubElement(properties, "property", name=name, value=escape(value))
    for result in entry.results:
        _case(suite, entry, result)
    _verdict(suite, entry)
    cases = suite.findall("testcase")
    counts = {
        "tests": len(cases),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    for name, number in counts.items():
        suite.set(name, str(number))
    suite.set("time", _seconds(entry.seconds))


def _case(suite: Element, entry: Entry, result: CheckResult) -> None:
    title = f"{result.code} {result.name}".strip()
    place = [result.condition or "plain", result.backend] if result.code else []
    case = _named(suite, entry, " · ".join(filter(None, (title, *place))))
    reason = escape(result.reason)
    if result.outcome == "fail":
        failure = SubElement(case, "failure", type=escape(title), message=reason)
        failure.text = "\n".join(_findings(entry, result))
    elif result.outcome == "error":
        SubElement(case, "error", type="checker", message=reason).text = reason
    elif result.outcome != "pass":
        words = ": ".join(filter(None, (WHY_SKIPPED[result.outcome], reason)))
        SubElement(case, "skipped", type=result.outcome, message=words)


def _verdict(suite: Element, entry: Entry) -> None:
    """A case of its own where no other case says that there is no verdict: never a clean file."""
    told = {result.outcome for result in entry.results}
    if entry.outcome in {"pass", "fail"} or (entry.outcome == "error" and "error" in told):
        return
    words = escape(f"{entry.word}: {entry.words}")
    case = _named(suite, entry, "verdict")
    kind = "skipped" if entry.beside_the_point else "error"
    SubElement(case, kind, type="no verdict", message=words)


def _named(suite: Element, entry: Entry, name: str) -> Element:
    return SubElement(suite, "testcase", classname=escape(entry.model), name=escape(name), time="0")


def _findings(entry: Entry, result: CheckResult) -> Iterator[str]:
    found = defects(entry, [result])
    for defect in found[:LISTED]:
        yield from _told(defect)
    if len(found) > LISTED:
        yield f"and {counted(len(found) - LISTED, 'more place')}"
    if result.fix:
        yield escape(f"fix: {result.fix}")


def _told(defect: Defect) -> Iterator[str]:
    yield escape(defect.finding.message)
    for words in (defect.seen, defect.size, ", ".join(defect.place), defect.others):
        if words:
            yield f"  {escape(words)}"


def _seconds(number: float) -> str:
    return f"{number:.3f}" if isfinite(number) and number > 0 else "0"
