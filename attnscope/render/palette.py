"""Styles by meaning, and the glyphs that carry the same meaning where there is no colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import exp, isfinite, log

from rich.console import Console, ConsoleOptions, RenderableType

from attnscope.records import Role, Tokens
from attnscope.text import escape, to_ascii

FUTURE = "bold white on red"
"""Weight or visibility on a later token. Nothing else is painted in red blocks."""
GOOD = "green"
CAUTION = "yellow"
BAD = "bold red"
QUIET = "bright_black"
STRONG = "bold"
SEEN = "cyan"
BLOCKED = "yellow"
BAR = "cyan"

ROLES: dict[Role, tuple[str, str, str]] = {
    "induction": ("I", "magenta", "weight just after earlier copies"),
    "duplicate-token": ("D", "bright_magenta", "weight on earlier copies"),
    "previous-token": ("P", "cyan", "weight on the token before"),
    "sink": ("S", "yellow", "weight on the first token"),
    "self": ("O", "green", "weight on its own position"),
    "local": ("L", "blue", "weight on the last 4 tokens"),
    "broad": ("B", "default", "evenness over all visible tokens"),
    "mixed": ("m", QUIET, "none fits well; the best one's score"),
}
"""Role -> letter, colour, what its score measures."""

SHADES = (
    (0.02, QUIET, QUIET),
    (0.10, "#6f8fb3", "#c8d7e8 on #1b3450"),
    (0.25, "#4f8fce", "white on #1f5080"),
    (0.50, "#58b0f0", "white on #2b76b8"),
    (1.00, "bold #a5dcff", "bold black on #7cc4f5"),
)
"""Upper bound of the weight, colour of a shade glyph, colour of a number's cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """The characters that a terminal can show."""

    ellipsis: str
    seen: str
    blocked: str
    diagonal: str
    partly: str
    later: str
    zero: str
    shades: tuple[str, ...]
    bars: str
    levels: str
    good: str
    bad: str
    caution: str
    neutral: str
    special: str
    replacements: tuple[tuple[str, str], ...]


UNICODE = Glyphs(
    ellipsis="…",
    seen="■",
    blocked="□",
    diagonal="◣",
    partly="▒",
    later="·",
    zero="·",
    shades=(":", "░", "▒", "▓", "█"),
    bars="╸━",
    levels="▁▂▃▄▅▆▇█",
    good="✓",
    bad="✗",
    caution="?",
    neutral="–",
    special="°",
    replacements=(),
)
ASCII = Glyphs(
    ellipsis="~",
    seen="#",
    blocked="-",
    diagonal="\\",
    partly="+",
    later=".",
    zero=".",
    shades=(":", "-", "+", "*", "#"),
    bars="=",
    levels="0123456789",
    good="ok:",
    bad="!!",
    caution="?",
    neutral="-",
    special="^",
    replacements=(
        ("─", "-"),
        ("…", "..."),
        ("query · key", "query . key"),
        ("N · N", "N x N"),
        ("·", "|"),
        ("×", "x"),
        ("–", "-"),
        ("−", "-"),
        ("→", "->"),
        ("␣", "_"),
        ("°", "^"),
        ("≥", ">="),
        ("≤", "<="),
    ),
)


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can show, decided once and passed down."""

    glyphs: Glyphs
    colour: bool = True

    @classmethod
    def of(cls, options: ConsoleOptions) -> Look:
        """The look for a console; legacy Windows consoles draw few glyphs beyond ASCII."""
        return cls(ASCII if options.ascii_only or options.legacy_windows else UNICODE)

    def read(self, tokens: Tokens) -> Tokens:
        """The tokens with labels that this terminal can print, spelled out and not replaced."""
        return replace(tokens, labels=tuple(map(self.spell, tokens.labels)))

    def spell(self, label: str) -> str:
        """One token's label, as `read` has it."""
        label = escape(label)
        return label if self.glyphs is UNICODE else to_ascii(label.replace("␣", "\\x20"))

    def say(self, words: str) -> str:
        """Any words, the user's or ours, as this terminal can print them."""
        if self.glyphs is UNICODE:
            return escape(words)
        for glyph, replacement in self.glyphs.replacements:
            words = words.replace(glyph, replacement)
        return to_ascii(escape(words))


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 head`, `1,024 heads`."""
    if number == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith(("ry", "ty")) else f"{noun}s"
    return f"{number:,} {plural}"


def percent(share: float) -> str:
    """A share in whole percent; small ones do not become 0."""
    return "<1%" if 0 < share <= 0.005 else f"{share:.0%}"


def perplexity(loss: float) -> str:
    """Exp of a mean loss in nats; as a power of ten where it is large."""
    if not isfinite(loss):
        return str(loss)
    return f"{exp(loss):,.1f}" if loss < 20 else f"10^{loss / log(10):.0f}"


class Fitted:
    """A renderable that is drawn for the width and the look of the console that prints it."""

    def __init__(self, draw: Callable[[int, Look], RenderableType]) -> None:
        self.draw = draw

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        colour = console.color_system is not None and not console.no_color
        yield self.draw(options.max_width, replace(Look.of(options), colour=colour))
