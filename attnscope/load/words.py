"""Words that a small vocabulary does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SMALL = 64
"""A vocabulary that can be shown whole; a larger one has a stand-in for unknown words."""


@dataclass(frozen=True, slots=True)
class UnknownWord:
    """A word of the prompt, and all that could stand in its place."""

    word: str
    vocabulary: tuple[str, ...]


def unknown_word(tokenizer: Any, text: str) -> UnknownWord | None:
    """The first word that `tokenizer` cannot encode; None without one or for a large vocabulary.

    A word counts as unknown when it encodes to the unknown token, or when encoding it fails, as it
    does in a vocabulary without such a token.
    """
    if len(tokenizer) > SMALL:
        return None
    unknown = next((word for word in text.split() if not _knows(tokenizer, word)), None)
    if unknown is None:
        return None
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda item: int(item[1]))
    special = set(tokenizer.all_special_ids)
    return UnknownWord(unknown, tuple(word for word, one in by_id if one not in special))


def _knows(tokenizer: Any, word: str) -> bool:
    try:
        ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    except Exception:  # tokenizers raises bare Exception
        return False
    return tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids
