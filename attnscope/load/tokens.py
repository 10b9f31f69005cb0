"""From a prompt, or ready-made ids, to the tokens that a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attnscope.errors import PromptError
from attnscope.load.describe import longest_prompt, vocabulary_size
from attnscope.load.failures import one_line
from attnscope.load.loaded import LoadedModel
from attnscope.load.pieces import piece_texts
from attnscope.load.quiet import quiet
from attnscope.load.vocabulary import usable_ids
from attnscope.load.words import unknown_word
from attnscope.records import Tokens
from attnscope.text import label

PAD = "<pad>"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    ids: list[int]
    special: list[bool]


def tokenize(
    loaded: LoadedModel, prompt: str, *, chat: bool = False, any_length: bool = False
) -> Tokens:
    """The prompt as the model reads it, with the special tokens that its tokenizer adds.

    With `chat`, the prompt is one user message in the model's chat template, followed by what
    starts an answer; everything around the message counts as special.

    Raises `PromptError` when there is no tokenizer or no chat template, when no token comes out,
    when a small vocabulary does not know a word, and, unless `any_length`, when the prompt is
    longer than the model.
    """
    tokenizer: Any = loaded.tokenizer
    if tokenizer is None:
        raise PromptError(
            f"A text cannot be read: {loaded.tokenizer_problem}.",
            "Pass token ids with --ids instead, for example --ids 1,2,3.",
        )
    name = loaded.info.name
    with quiet(bars=False):
        if chat:
            rendered = _render_chat(tokenizer, name, prompt)
            encoded = _encode(tokenizer, name, rendered, add_special=False)
            encoded = _mark_template(tokenizer, encoded, rendered, prompt)
        else:
            encoded = _encode(tokenizer, name, prompt, add_special=True)
    return _tokens(loaded, encoded.ids, encoded.special, any_length=any_length)


def tokens_of(
    loaded: LoadedModel,
    text: str | None,
    ids: Sequence[int] | None,
    *,
    chat: bool = False,
    any_length: bool = False,
) -> Tokens:
    """Ids where they are given, else a text, else the prompt that suits the model.

    Raises `PromptError` as `tokenize` and `tokens_from_ids` do.
    """
    if ids is not None:
        return tokens_from_ids(loaded, ids, any_length=any_length)
    words = loaded.default_prompt if text is None else text
    return tokenize(loaded, words, chat=chat, any_length=any_length)


def tokens_from_ids(loaded: LoadedModel, ids: Sequence[int], *, any_length: bool = False) -> Tokens:
    """Tokens from vocabulary indices, none added; without a tokenizer their texts are the ids.

    Raises `PromptError` when there are none, when one is out of the vocabulary, and, unless
    `any_length`, when there are more than the model has positions for.
    """
    tokenizer: Any = loaded.tokenizer
    known = set() if tokenizer is None else set(tokenizer.all_special_ids)
    return _tokens(loaded, list(ids), [one in known for one in ids], any_length=any_length)


def any_tokens(loaded: LoadedModel, count: int) -> Tokens:
    """So many tokens of no meaning, labelled with their positions; special ones are left out.

    Raises `PromptError` when there are more than the model has positions for.
    """
    usable = usable_ids(loaded.model, loaded.tokenizer, vocabulary_size(loaded.model))
    _require_length(loaded, count)
    names = tuple(map(str, range(count)))
    return Tokens(
        ids=tuple(usable[place % len(usable)] for place in range(count)),
        texts=names,
        labels=names,
        special=(False,) * count,
    )


def padded(loaded: LoadedModel, tokens: Tokens, left: int, right: int) -> Tokens:
    """The tokens between pads, which count as special.

    Raises `PromptError` when they no longer fit the model's positions.
    """
    _require_length(loaded, left + len(tokens) + right)
    known = getattr(loaded.tokenizer, "pad_token_id", None)
    pad, name = 0 if known is None else int(known), (PAD,)
    return Tokens(
        ids=(pad,) * left + tokens.ids + (pad,) * right,
        texts=name * left + tokens.texts + name * right,
        labels=name * left + tokens.labels + name * right,
        special=(True,) * left + tokens.special + (True,) * right,
    )


def _tokens(
    loaded: LoadedModel, ids: list[int], special: list[bool], *, any_length: bool
) -> Tokens:
    _require_length(loaded, len(ids), any_length=any_length)
    size = vocabulary_size(loaded.model)
    outside = next((one for one in ids if not 0 <= one < size), None)
    if outside is not None:
        raise PromptError(
            f"Token id {outside} is not in the vocabulary of {loaded.info.name}.",
            f"Its ids go from 0 to {size - 1}.",
        )
    with quiet(bars=False):
        texts = piece_texts(loaded.tokenizer, ids)
    labels = {text: label(text) for text in dict.fromkeys(texts)}
    return Tokens(
        ids=tuple(ids),
        texts=texts,
        labels=tuple(labels[text] for text in texts),
        special=tuple(special),
    )


def _require_length(loaded: LoadedModel, length: int, *, any_length: bool = False) -> None:
    if length == 0:
        raise PromptError("The prompt is empty: it holds no token.", "Give at least one word.")
    limit = None if any_length else longest_prompt(loaded.model)
    if limit is not None and length > limit:
        raise PromptError(
            f"The prompt has {length} tokens, and {loaded.info.name} has positions for {limit}.",
            "Shorten it.",
        )


def _encode(tokenizer: Any, name: str, text: str, *, add_special: bool) -> _Encoded:
    try:
        encoded = tokenizer(
            text, add_special_tokens=add_special, return_special_tokens_mask=add_special
        )
    except Exception as error:  # tokenizers raises bare Exception
        _reject_unknown_word(tokenizer, name, text)
        raise PromptError(
            f"The tokenizer of {name} cannot read the prompt: {one_line(error)}"
        ) from error
    ids = list(encoded["input_ids"])
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
        _reject_unknown_word(tokenizer, name, text)
    mask = encoded.get("special_tokens_mask") or [0] * len(ids)
    return _Encoded(ids=ids, special=[flag == 1 for flag in mask])


def _reject_unknown_word(tokenizer: Any, name: str, text: str) -> None:
    found = unknown_word(tokenizer, text)
    if found is not None:
        raise PromptError(
            f"{name} does not know the word {label(found.word)!r}.",
            f"It knows only: {' '.join(label(word) for word in found.vocabulary)}.",
        )


def _render_chat(tokenizer: Any, name: str, prompt: str) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise PromptError(
            f"{name} has no chat template.", "Leave --chat out, or use a model tuned for chat."
        )
    message = [{"role": "user", "content": prompt}]
    try:
        rendered = tokenizer.apply_chat_template(
            message, tokenize=False, add_generation_prompt=True
        )
    except ImportError as error:
        raise PromptError("--chat needs the package jinja2.", "Run `pip install jinja2`.") from (
            error
        )
    except Exception as error:  # a template is foreign code and raises what it likes
        raise PromptError(
            f"The chat template of {name} does not take this prompt: {one_line(error)}"
        ) from error
    return str(rendered)


def _mark_template(tokenizer: Any, encoded: _Encoded, rendered: str, prompt: str) -> _Encoded:
    """Mark what does not overlap the message, where the tokenizer tells what comes from where."""
    message = prompt.strip()
    start = rendered.rfind(message) if message else -1
    known = set(tokenizer.all_special_ids)
    if start < 0 or not tokenizer.is_fast:
        return _Encoded(ids=encoded.ids, special=[one in known for one in encoded.ids])
    spans = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    end = start + len(message)
    outside = [last <= start or first >= end for first, last in spans["offset_mapping"]]
    return _Encoded(ids=encoded.ids, special=outside)
