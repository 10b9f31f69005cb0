"""Options that take lists or sizes, checked before anything heavy is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attnscope.cli.options import Backend
from attnscope.errors import PromptError, SelectionError

ALL = "all"
BACKENDS = tuple(each.value for each in Backend if each is not Backend.auto)


OWN = ("torch", "math")
"""Kernels of models that transformers does not know: `attnscope.load.stand_in.KERNELS`."""


def parse_kernels(text: str | None, option: str = "--backend") -> tuple[str, ...]:
    """As `parse_backends`, with the kernels of one's own models besides."""
    return parse_backends(text, option, (*BACKENDS, *OWN))


def parse_backends(
    text: str | None, option: str = "--backend", known: Sequence[str] = BACKENDS
) -> tuple[str, ...]:
    """Backends from a list such as eager,sdpa; `all` stands alone, and none for transformers' own.

    Raises SelectionError for an unknown one.
    """
    if text is None or text.strip() == Backend.auto:
        return ()
    names = _split([text])
    unknown = [name for name in names if name not in {*known, ALL}]
    if unknown or not names:
        raise SelectionError(
            f"{option} {(unknown or [text])[0][:40]!r} is unknown.",
            f"Choose from {', '.join(known)}, or all.",
        )
    if ALL in names and len(names) > 1:
        raise SelectionError(f"{option} all takes no further name.", "Leave the others out.")
    return names


def parse_words(texts: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """Codes, their beginnings and families from an option that may be repeated.

    Raises SelectionError when it is given and empty.
    """
    words = _split(texts or ())
    if texts and not words:
        raise SelectionError(f"{option} is empty.", "Run `attnscope checks` for the codes.")
    return tuple(word.upper() if word.lower().startswith("atn") else word.lower() for word in words)


def parse_heads(text: str | None) -> tuple[int, ...] | None:
    """Heads from a list such as 0,3,7; None where none is given.

    Raises SelectionError for anything else.
    """
    if text is None:
        return None
    parts = _split([text])
    wrong = [part for part in parts if not re.fullmatch(r"[+-]?[0-9]{1,6}", part)]
    if wrong or not parts:
        raise SelectionError(
            f"--head takes numbers such as 0,1,3, not {(wrong or [text])[0][:40]!r}.",
            "Count from 0, or from -1 for the last.",
        )
    return tuple(dict.fromkeys(int(part) for part in parts))


def require_one(given: Mapping[str, Any]) -> None:
    """Raises SelectionError where more than one of these options is given."""
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        raise SelectionError(f"{' and '.join(names)} exclude each other.", "Give one of them.")


def require_length(length: int | None, prompt: str | None, ids: str | None) -> None:
    """Raises SelectionError for a length without a future, or beside tokens that have their own."""
    if length is None:
        return
    if length < 2:
        raise SelectionError(
            f"--length {length} leaves no later token to see.", "Read at least 2 tokens."
        )
    if prompt is not None or ids is not None:
        given = "--ids" if prompt is None else "--prompt"
        raise PromptError(f"--length and {given} exclude each other.", "Give one of them.")


def _split(texts: Sequence[str]) -> tuple[str, ...]:
    parts = " ".join(texts).replace(",", " ").split()
    return tuple(dict.fromkeys(parts))
