"""How each outcome looks: its glyph, word and colour, the same wherever it is shown."""

from __future__ import annotations

from rich.text import Text

from attnscope.render.palette import BAD, CAUTION, FUTURE, GOOD, QUIET, UNICODE, Look
from attnscope.report import Outcome

WORDS: dict[Outcome, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "error": "ERROR",
    "skip": "unchecked",
    "unpromised": "unpromised",
    "accepted": "accepted",
}
ORDER: tuple[Outcome, ...] = ("fail", "error", "skip", "accepted", "unpromised", "pass")
"""The loudest first."""
STYLES: dict[Outcome, str] = {
    "pass": GOOD,
    "fail": FUTURE,
    "error": BAD,
    "skip": CAUTION,
    "unpromised": QUIET,
    "accepted": QUIET,
}


def mark(outcome: Outcome, look: Look, words: str = "") -> Text:
    """Glyph and word; `words` in place of the outcome's own."""
    return Text(f"{glyph(outcome, look)} {look.say(words or WORDS[outcome])}", STYLES[outcome])


def glyph(outcome: Outcome, look: Look) -> str:
    """The outcome as a sign that needs no colour."""
    glyphs = look.glyphs
    return {
        "pass": glyphs.good,
        "fail": glyphs.bad,
        "error": glyphs.bad,
        "skip": glyphs.caution,
        "unpromised": glyphs.neutral,
        "accepted": glyphs.neutral,
    }[outcome]


if __name__ == "__main__":
    from rich.console import Console

    Console().print(*(mark(outcome, Look(UNICODE)) for outcome in ORDER), sep="\n")
