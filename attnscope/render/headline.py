"""The verdict in one loud line, and below it what was judged and how often it was asked."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.render.flow import flow
from attnscope.render.hanging import hanging
from attnscope.render.header import facts
from attnscope.render.outcomes import mark
from attnscope.render.palette import BAD, CAUTION, FUTURE, GOOD, QUIET, Fitted, Look, counted
from attnscope.report import Outcome, Report

COUNTED: dict[Outcome, str] = {
    "pass": "passed",
    "fail": "failed",
    "error": "broke the checker",
    "skip": "not checked",
    "unpromised": "not promised",
    "accepted": "accepted",
}
VERDICTS: dict[Outcome, str] = {"pass": "PASS", "fail": "LEAK", "error": "ERROR"}
"""The others are no verdict."""
NAMED = 4
"""Failed checks that the first line names; the rest is counted."""


def headline(report: Report) -> RenderableType:
    """Verdict, model, counts."""
    return Fitted(lambda width, look: Group(*_draw(report, width, look)))


def verdict_word(report: Report) -> str:
    """The verdict in a word."""
    return VERDICTS.get(report.outcome, "COULD NOT CHECK")


def sentence(report: Report) -> str:
    """What the verdict comes from."""
    told = {"pass": _passed, "fail": _failed, "error": _broken}.get(report.outcome, _unanswered)
    return told(report)


def _draw(report: Report, width: int, look: Look) -> list[Text]:
    if not report.model.architecture:  # it could not be loaded
        return _verdict(report, width, look)
    separator = look.say(" · ")
    told = facts(report.model, look)[:-1]
    if report.backends:
        told.append(Text(look.say(f"on {', '.join(report.backends)}")))
    lines = [*_verdict(report, width, look), *flow(told, separator, width)]
    return [*lines, *flow(_counts(report, look), separator, width)]


def _verdict(report: Report, width: int, look: Look) -> list[Text]:
    glyphs, word = look.glyphs, verdict_word(report)
    lead, style = {
        "pass": (f"{glyphs.good} {word}", f"bold {GOOD}"),
        "fail": (f" !! {word} ", FUTURE),
        "error": (f"{glyphs.bad} {word}", BAD),
    }.get(report.outcome, (f"{glyphs.caution} {word}", f"bold {CAUTION}"))
    tone = BAD if report.outcome == "fail" else style
    return hanging(Text.assemble((lead, style), "  "), look.say(sentence(report)), width, tone)


def _passed(report: Report) -> str:
    asked = {result.family for result in report.results if result.outcome == "pass"}
    held = "no token sees what it must not see"
    words = held if "influence" in asked else "every check that was asked held"
    accepted = sum(result.outcome == "accepted" for result in report.results)
    if accepted:
        words = f"nothing beyond {counted(accepted, 'accepted result')}"
    if report.swapped is not None and report.swapped < len(report.labels):
        words += f", as far as a sample of {report.swapped} of {len(report.labels)} positions tells"
    skipped = sum(result.outcome == "skip" for result in report.results)
    return f"{words}; {skipped:,} of {len(report.results):,} not checked" if skipped else words


def _unanswered(report: Report) -> str:
    """The first control that did not pass, or that nothing of what was selected could be asked."""
    if report.proven and report.proven.caught < len(report.proven.planted):
        return "planted leaks were missed: this pass cannot be trusted"
    for result in report.results:
        if result.outcome == "skip" and result.family in {"observer", "influence"}:
            return f"{result.code} {result.name}: {result.reason}"
    return "nothing of what was selected could be asked"


def _failed(report: Report) -> str:
    failed = _names(report, "fail")
    more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    total = counted(len({result.code for result in report.results}), "check")
    return f"{len(failed)} of {total} failed: {', '.join(failed[:NAMED])}{more}"


def _broken(report: Report) -> str:
    if not report.results and report.notes:
        return report.notes[0]
    broken = _names(report, "error")
    where = f" in {', '.join(broken[:NAMED])}" if broken else ""
    return f"the checker itself failed{where}; this is no verdict on the model"


def _names(report: Report, outcome: Outcome) -> list[str]:
    found = (result.name for result in report.results if result.outcome == outcome)
    return list(dict.fromkeys(found))


def _counts(report: Report, look: Look) -> list[Text]:
    """How many answers (a check in a condition on a backend) were which."""
    checks = counted(len({result.code for result in report.results}), "check")
    counts = [Text(f"{checks} asked {counted(len(report.results), 'time')}", QUIET)]
    for outcome, words in COUNTED.items():
        number = sum(result.outcome == outcome for result in report.results)
        if number:
            counts.append(mark(outcome, look, f"{number:,} {words}"))
    return counts


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console().print(headline(leaking()))
