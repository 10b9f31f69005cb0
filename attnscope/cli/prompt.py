"""The prompt from wherever it is given."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from attnscope import ranks
from attnscope.errors import PromptError

LARGEST = 64 * 2**20
"""Bytes; more cannot fit any model's positions and would only take memory."""


def read_argument(text: str) -> str:
    """An argument of the command line; its bytes that are no UTF-8 arrive as lone surrogates."""
    return _decode(text.encode("utf-8", "surrogateescape"))


def read_prompt(prompt: str | None, file: Path | None, ids: str | None) -> str | None:
    """The prompt's text; None when ids are given or nothing is.

    Bytes that are no UTF-8 become U+FFFD, as a tokenizer would read them.

    Raises PromptError when more than one source is given or a file cannot be read.
    """
    sources = {"PROMPT": prompt, "--file": file, "--ids": ids}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise PromptError(f"{' and '.join(given)} exclude each other.", "Give one of them.")
    if prompt == "-":
        file = Path(prompt)
    if file is not None:
        return _decode(_read(file))
    if prompt is not None:
        return read_argument(prompt)
    return None


def _read(file: Path) -> bytes:
    try:
        if str(file) == "-":
            if ranks.world() > 1:
                raise PromptError(
                    f"{ranks.world()} processes cannot all read standard input.", "Use --file PATH."
                )
            content = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(LARGEST + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PromptError(f"The prompt file {file} cannot be read: {reason}.") from error
    if len(content) > LARGEST:
        raise PromptError(f"{file} is larger than {LARGEST >> 20} MiB.", "Shorten it.")
    return content


def _decode(content: bytes) -> str:
    return content.decode("utf-8", "replace").removeprefix("\ufeff")


def parse_ids(ids: str, option: str = "--ids") -> list[int]:
    """Numbers from a list such as 5,9,23: token ids, as a rule.

    Raises PromptError for anything else.
    """
    parts = ids.replace(",", " ").split()
    wrong = [part for part in parts if not re.fullmatch(r"[0-9]{1,12}", part)]
    if wrong or not parts:
        raise PromptError(
            f"{option} takes numbers such as 5,9,23, not {(wrong or [ids])[0][:40]!r}."
        )
    return [int(part) for part in parts]


def parse_pad(pad: str | None) -> tuple[int, int]:
    """How many pads stand on the left and on the right, from left:2 or right:2.

    Raises PromptError for anything else.
    """
    if pad is None:
        return 0, 0
    found = re.fullmatch(r"(left|right):([0-9]{1,6})", pad.strip())
    if found is None:
        raise PromptError(f"--pad takes left:2 or right:2, not {pad[:40]!r}.")
    return (int(found[2]), 0) if found[1] == "left" else (0, int(found[2]))
