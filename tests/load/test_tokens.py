"""What a prompt becomes, and what is said when it cannot be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from attnscope.errors import PromptError
from attnscope.load import LoadedModel, LoadOptions, load, tokenize, tokens_from_ids
from attnscope.load import model as model_module
from tests.tiny import tiny


@pytest.fixture(scope="module")
def textbook() -> LoadedModel:
    return load(LoadOptions(model="textbook"))


def refusal(call: Callable[[], object]) -> PromptError:
    with pytest.raises(PromptError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A GPT-2 that reads single bytes, puts <s> first and has a chat template."""
    directory = tmp_path_factory.mktemp("bytes")
    tiny("gpt2", vocab_size=260).save_pretrained(directory)
    vocab = {
        piece: index for index, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "<user>", "<model>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    make: Any = PreTrainedTokenizerFast
    wrapped = make(tokenizer_object=tokenizer, bos_token="<s>")
    wrapped.chat_template = (
        "<s><user>{{ messages[0]['content'] }}{% if add_generation_prompt %}<model>\n{% endif %}"
    )
    wrapped.save_pretrained(directory)
    return load(LoadOptions(model=str(directory)))


def test_words_of_the_textbook(textbook: LoadedModel) -> None:
    tokens = tokenize(textbook, "The cat sat on mat")
    assert tokens.ids == (0, 1, 2, 3, 4)
    assert tokens.texts == tokens.labels == ("The", "cat", "sat", "on", "mat")
    assert tokens.special == (False,) * 5


@pytest.mark.parametrize("prompt", ["The dog sat", "dog", "The cat dog on dog"])
def test_unknown_word_is_named_with_the_vocabulary(textbook: LoadedModel, prompt: str) -> None:
    told = refusal(lambda: tokenize(textbook, prompt))
    assert told.message == "textbook does not know the word 'dog'."
    assert told.hint == "It knows only: The cat sat on mat."


def test_unknown_token_in_a_small_vocabulary(textbook: LoadedModel) -> None:
    tokenizer = Tokenizer(models.WordLevel({"yes": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    make: Any = PreTrainedTokenizerFast
    other = replace(textbook, tokenizer=make(tokenizer_object=tokenizer, unk_token="<unk>"))
    assert "'no'" in refusal(lambda: tokenize(other, "yes no")).message


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_empty_prompt(textbook: LoadedModel, prompt: str) -> None:
    assert "holds no token" in refusal(lambda: tokenize(textbook, prompt)).message


def test_prompt_longer_than_the_model(textbook: LoadedModel, stored: Path) -> None:
    told = refusal(lambda: tokenize(textbook, "cat " * 65)).message
    assert told == "The prompt has 65 tokens, and textbook has positions for 64."
    assert len(tokenize(textbook, "cat " * 65, any_length=True)) == 65
    assert len(tokens_from_ids(textbook, [1] * 65, any_length=True)) == 65
    assert "holds no token" in refusal(lambda: tokenize(textbook, "", any_length=True)).message
    for unlimited in ("mamba", "bloom"):
        loaded = load(LoadOptions(model=str(stored / unlimited)))
        assert len(tokens_from_ids(loaded, [1] * 500)) == 500


def test_text_without_tokenizer(stored: Path) -> None:
    loaded = load(LoadOptions(model=str(stored / "llama")))
    assert "--ids" in refusal(lambda: tokenize(loaded, "hello")).hint
    assert tokens_from_ids(loaded, [5, 96]).labels == ("5", "96")


def test_broken_tokenizer_still_allows_ids(tmp_path: Path) -> None:
    weights = Path(model_module.__file__).parents[1] / "models" / "textbook" / "weights"
    broken = shutil.copytree(weights, tmp_path / "broken")
    (broken / "tokenizer.json").write_text("{")
    loaded = load(LoadOptions(model=str(broken)))
    assert "cannot be read" in refusal(lambda: tokenize(loaded, "cat")).message
    assert tokens_from_ids(loaded, [1]).texts == ("1",)


@pytest.mark.parametrize("wrong", [5, -1])
def test_ids_out_of_the_vocabulary(textbook: LoadedModel, wrong: int) -> None:
    told = refusal(lambda: tokens_from_ids(textbook, [0, wrong]))
    assert str(told) == (
        f"Token id {wrong} is not in the vocabulary of textbook. Its ids go from 0 to 4."
    )


def test_added_tokens_are_special_and_typed_ones_are_not(byte_level: LoadedModel) -> None:
    tokens = tokenize(byte_level, "a <s>b")
    assert tokens.texts == ("<s>", "a", " ", "<s>", "b")
    assert tokens.special == (True, False, False, False, False)


def test_bytes_of_one_character_are_spelled_out(byte_level: LoadedModel) -> None:
    tokens = tokenize(byte_level, "é😀\N{REPLACEMENT CHARACTER}")
    assert tokens.texts[1:7] == (r"\xc3", r"\xa9", r"\xf0", r"\x9f", r"\x98", r"\x80")
    assert not any("\N{REPLACEMENT CHARACTER}" in text for text in tokens.texts)


def test_chat_marks_the_template(byte_level: LoadedModel) -> None:
    tokens = tokenize(byte_level, "hi", chat=True)
    assert tokens.texts == ("<s>", "<user>", "h", "i", "<model>", "\n")
    assert tokens.special == (True, True, False, False, True, True)


def test_chat_without_template(textbook: LoadedModel) -> None:
    assert "no chat template" in refusal(lambda: tokenize(textbook, "cat", chat=True)).message


def test_sentencepiece_keeps_its_spaces_and_bytes(textbook: LoadedModel) -> None:
    vocab = {"<unk>": 0, "▁the": 1, "▁cat": 2, "s": 3, "<0xF0>": 4, "▁": 5}
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    make: Any = PreTrainedTokenizerFast
    other = replace(textbook, tokenizer=make(tokenizer_object=tokenizer))
    assert tokens_from_ids(other, [1, 2, 3, 4]).texts == (" the", " cat", "s", r"\xf0")
