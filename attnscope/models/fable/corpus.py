"""The text: how it is split, and how it becomes tokens."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 2048
LONGEST_INPUT = 512
END_OF_TEXT = "<|endoftext|>"
EXAMPLE = "The cat sat on the mat"

_BLOCK_CHARACTERS = 4000
_HELD_OUT_EVERY = 20
_HELD_OUT_REMAINDER = 10
_EXAMPLE_REPEATS = 200

TokenIds = NDArray[np.int64]
"""Token ids in reading order, shape (tokens,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The two parts of a text. They share no paragraph position."""

    training: tuple[str, ...]
    """Runs of consecutive blocks between two held-out blocks."""
    held_out: tuple[str, ...]
    """Every twentieth block, each a document of its own."""


def read_split(path: Path) -> Split:
    """Read a text file whose paragraphs are separated by blank lines, and split it."""
    return split_text(path.read_text(encoding="utf-8"))


def split_text(text: str) -> Split:
    """Cut the paragraphs into blocks of about 4,000 characters; hold out every twentieth."""
    documents: dict[bool, list[str]] = {False: [], True: []}
    for held_out, run in groupby(enumerate(_blocks(text)), key=lambda item: _is_held_out(item[0])):
        documents[held_out].append("\n\n".join(block for _, block in run))
    return Split(training=tuple(documents[False]), held_out=tuple(documents[True]))


def train_tokenizer(documents: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on `documents`.

    Every byte has a token, so no text is unknown. The corpus knows one mat, too few for a merge:
    the example sentence is added often enough for each of its words to become one token.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*documents, *[EXAMPLE] * _EXAMPLE_REPEATS], trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=LONGEST_INPUT,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model directory."""
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(directory)
    return tokenizer


def encode(tokenizer: PreTrainedTokenizerFast, document: str) -> TokenIds:
    """Return the ids of one document, with the end-of-text token in front of it."""
    backend = tokenizer.backend_tokenizer
    ids = backend.encode(document, add_special_tokens=False).ids
    return np.array([tokenizer.eos_token_id, *ids], dtype=np.int64)


def _is_held_out(block: int) -> bool:
    return block % _HELD_OUT_EVERY == _HELD_OUT_REMAINDER


def _blocks(text: str) -> Iterable[str]:
    paragraphs: list[str] = []
    for paragraph in text.split("\n\n"):
        paragraphs.append(paragraph)
        if sum(map(len, paragraphs)) >= _BLOCK_CHARACTERS:
            yield "\n\n".join(paragraphs)
            paragraphs = []
    if paragraphs:
        yield "\n\n".join(paragraphs)
