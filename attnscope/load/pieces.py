"""Tokens as text, each on its own.

Decoding one token alone loses what only its neighbours make whole: a SentencePiece tokenizer drops
the leading space, and a token that is a part of a UTF-8 character becomes a replacement character.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's mark for a space before a word."""

BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""How SentencePiece spells a byte that is in no other piece."""


def piece_texts(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    r"""The text of each id; the id itself where there is no tokenizer.

    Bytes that form no whole character are spelled out, for example as `\xf0\x9f`.
    """
    if tokenizer is None:
        return tuple(str(one) for one in ids)
    texts = {one: _piece_text(tokenizer, one) for one in dict.fromkeys(ids)}
    return tuple(texts[one] for one in ids)


def _piece_text(tokenizer: Any, one: int) -> str:
    piece = tokenizer.convert_ids_to_tokens(one)
    if piece is None:  # the model's vocabulary is larger than its tokenizer's
        return str(one)
    if isinstance(piece, bytes):
        return _spell(piece)
    text: str = tokenizer.decode(
        [one], skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    if REPLACEMENT in text:
        raw = _raw_bytes(piece)
        return text if raw is None else _spell(raw)
    if piece.startswith(WORD_START) and not text.startswith((" ", WORD_START)):
        return " " + text
    return text


def _spell(raw: bytes) -> str:
    return raw.decode("utf-8", errors="backslashreplace")


def _raw_bytes(piece: str) -> bytes | None:
    spelled = BYTE_PIECE.fullmatch(piece)
    if spelled:
        return bytes.fromhex(spelled[1])
    alphabet = _byte_alphabet()
    if all(character in alphabet for character in piece):
        return bytes(alphabet[character] for character in piece)
    return None


@cache
def _byte_alphabet() -> dict[str, int]:
    """The characters that stand for bytes in byte-level vocabularies.

    Visible Latin-1 characters stand for themselves, the other bytes for the characters from
    U+0100 on, in order.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(0x100) if byte not in visible]
    alphabet = {chr(byte): byte for byte in visible}
    return alphabet | {chr(0x100 + index): byte for index, byte in enumerate(hidden)}
