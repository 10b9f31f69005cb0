r"""Token texts -> labels that are safe to print and keep their columns.

A prompt is foreign data: a token may hold escape sequences, direction overrides, half a UTF-8
character or nothing at all. Labels hold printable characters only; everything else is spelled
out as an escape such as `\x1b`. The exact text stays in the record.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rich.cells import cell_len

NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
CARRIER = "◌"
"""Stands under a combining mark that has no letter of its own to sit on."""
MARKS = 3
"""Combining marks kept on one letter; the rest would climb into the neighbouring rows."""
UNSTABLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers: letters that draw nothing
        (0x17B4, 0x17B5),  # invisible Khmer vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x2800, 0x2800),  # blank Braille pattern
        (0x3164, 0x3164),
        (0xFFA0, 0xFFA0),
        (0xFE00, 0xFE0F),  # variation selectors: terminals disagree on the width
        (0x1F1E6, 0x1F1FF),  # flag letters: two make one flag, or not
        (0x1F3FB, 0x1F3FF),  # skin tones: they join the emoji before them, or not
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)
"""Printable characters that are invisible or whose width depends on the terminal."""


def label(text: str) -> str:
    """A token's text as a printable label.

    A plain leading space is dropped, for reading; other leading and all trailing spaces are shown
    as `␣`, and a run of more than four as `␣×16`. An empty text becomes `''`.
    """
    if not text:
        return "''"
    core = text.strip(" ")
    if not core:
        return _spaces(len(text))
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - len(text.rstrip(" "))
    dropped = 1 if before == 1 else 0
    return _spaces(before - dropped) + escape(core) + _spaces(after)


def escape(text: str) -> str:
    r"""The text with everything spelled out that does not print as itself.

    Controls, format and direction characters, line separators, odd spaces, surrogates, private and
    unassigned characters become escapes; bytes that are no UTF-8 (as Python's `surrogateescape`
    carries them) become `\xNN`.
    """
    if text.isascii() and text.isprintable():
        return text
    pieces: list[str] = []
    marks = -1  # combining marks on the letter before; -1 when there is no letter
    for character in text:
        if not character.isprintable() or character in UNSTABLE:
            pieces.append(_spell(character))
            marks = -1
        elif not _combines(character):
            pieces.append(character)
            marks = -1 if character == " " else 0
        elif marks < MARKS:
            pieces.append(character if marks >= 0 else CARRIER + character)
            marks = max(marks, 0) + 1
        else:
            pieces.append(_spell(character))
    return "".join(pieces)


def fit(label: str, width: int, ellipsis: str = "…") -> str:
    """The label in at most `width` terminal cells, cut with an ellipsis where it is longer."""
    if cell_len(label) <= width:
        return label
    room = width - cell_len(ellipsis)
    if room < 0:
        return ""
    kept = ""
    for character in label:
        if cell_len(kept + character) > room:
            break
        kept += character
    return kept + ellipsis


def pad(label: str, width: int, align: str = "<") -> str:
    """The label with spaces up to `width` terminal cells; `align` is `<`, `>` or `^`."""
    missing = max(width - cell_len(label), 0)
    left = {"<": 0, ">": missing, "^": missing // 2}[align]
    return " " * left + label + " " * (missing - left)


def ranges(numbers: Iterable[int]) -> str:
    """`0-3, 5` for 0, 1, 2, 3 and 5."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def to_ascii(text: str) -> str:
    """The text with every character outside ASCII spelled out, for terminals that have no more."""
    return "".join(character if character.isascii() else _spell(character) for character in text)


def _spaces(count: int) -> str:
    return "␣" * count if count <= 4 else f"␣×{count}"


def _combines(character: str) -> bool:
    return unicodedata.category(character).startswith("M") or cell_len(character) == 0


def _spell(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape carries a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return NAMED.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
