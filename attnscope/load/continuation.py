"""A prompt and what comes after it: given, or written by the model."""

from __future__ import annotations

from collections.abc import Sequence

from attnscope.errors import PromptError
from attnscope.load.describe import longest_prompt
from attnscope.load.loaded import LoadedModel
from attnscope.load.pieces import piece_texts
from attnscope.load.quiet import quiet
from attnscope.load.tokens import tokenize
from attnscope.records import Tokens
from attnscope.text import label


def continued(loaded: LoadedModel, text: str, continuation: str) -> tuple[Tokens, int]:
    """A text and what follows it, as one prompt, and the position where the latter starts.

    A space is put between them where neither has one. Raises `PromptError` as `tokenize` does.
    """
    between = "" if text[-1:].isspace() or continuation[:1].isspace() else " "
    before, whole = tokenize(loaded, text), tokenize(loaded, text + between + continuation)
    start = _without_end(before)
    if whole.ids[:start] == before.ids[:start] and _without_end(whole) > start > 0:
        return whole, start
    raise PromptError(
        f"The tokenizer of {loaded.info.name} joins the end of the prompt with what follows.",
        "Start the continuation with a whole word.",
    )


def _without_end(tokens: Tokens) -> int:
    """The number of tokens without those that the tokenizer puts at the end of every text."""
    count = len(tokens)
    while count and tokens.special[count - 1]:
        count -= 1
    return count


def extended(loaded: LoadedModel, tokens: Tokens, ids: Sequence[int]) -> Tokens:
    """Tokens and those that were written after them; `ids` are all of both."""
    new = list(ids[len(tokens) :])
    with quiet(bars=False):
        texts = piece_texts(loaded.tokenizer, new)
    return Tokens(
        ids=tokens.ids + tuple(new),
        texts=tokens.texts + texts,
        labels=tokens.labels + tuple(label(text) for text in texts),
        special=tokens.special + (False,) * len(new),
    )


def joined_text(loaded: LoadedModel, ids: Sequence[int]) -> str:
    """Ids as one text; without a tokenizer the ids themselves."""
    if loaded.tokenizer is None:
        return " ".join(map(str, ids))
    with quiet(bars=False):
        return str(loaded.tokenizer.decode(list(ids)))


def room_for(loaded: LoadedModel, tokens: Tokens, steps: int) -> int:
    """How many of `steps` tokens can be written: the last one need not be read again."""
    limit = longest_prompt(loaded.model)
    return steps if limit is None else min(steps, limit - len(tokens) + 1)
