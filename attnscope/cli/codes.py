"""What `--select` and `--ignore` may name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from attnscope.errors import SelectionError

SHORTEST = len("ATN3")
"""Of a code's beginning."""


def require_checks(words: Sequence[str], option: str) -> None:
    """Raises SelectionError for a word that names no check: no code or beginning of one (ATN301,
    ATN3, ATN3xx), no name and no family. A misspelt --select must not read as a clean verdict.
    """
    from attnscope.checks import CHECKS

    names = {name for check in CHECKS for name in (check.name, check.family)}
    codes = {check.code for check in CHECKS}
    for word in words:
        start = word.upper().removesuffix("XX")
        begins = len(start) >= SHORTEST and any(code.startswith(start) for code in codes)
        if not begins and word not in names:
            near = get_close_matches(word, sorted(codes | names), n=3)
            told = f"Did you mean {' or '.join(near)}? " if near else ""
            raise SelectionError(
                f"{option} {word[:40]!r} is no check and no family.",
                f"{told}Run `attnscope checks` for all of them.",
            )
