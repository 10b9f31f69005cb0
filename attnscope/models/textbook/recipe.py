"""How the bundled model `textbook` is made: the worked example of causal attention as a real model.

Five words, one layer, one head. The kernel receives exactly `QUERIES`, `KEYS` and `VALUES`, one row
a word, so every number of the example can be followed with pen and paper. The architecture is
SmolLM3, because it can leave the rotation of queries and keys out.

    python -m attnscope.models.textbook.recipe DIRECTORY
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import PreTrainedTokenizerFast, SmolLM3Config, SmolLM3ForCausalLM

WORDS = ("The", "cat", "sat", "on", "mat")
QUERIES = ((1, 0, 1, 0), (0, 2, 0, 1), (1, 1, 1, 0), (0, 0, 1, 1), (1, 0, 0, 1))
KEYS = ((0, 1, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0), (0, 0, 1, 1), (1, 0, 0.5, 0.5))
VALUES = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0.5, 0.5, 0.5, 0.5))

HIDDEN = 16
NORM = 4.0
"""What RMSNorm multiplies a one-hot vector of 16 entries by: 1 / sqrt(1/16), exact in binary."""
HEAD_DIM = 4
ATTENDED = slice(len(WORDS), len(WORDS) + HEAD_DIM)
"""The hidden dimensions that hold the head's output; the word itself is one-hot in those before."""
REPEAT_PENALTY = 0.5
"""How strongly the output layer avoids words that the head has attended to."""


def build(directory: Path) -> None:
    """Write the model's directory: config.json, weights, tokenizer.json, tokenizer_config.json."""
    directory.mkdir(parents=True, exist_ok=True)
    config = build_config()
    config.save_pretrained(directory)
    save_file(build_weights(config), directory / "model.safetensors", metadata={"format": "pt"})
    build_tokenizer().save_pretrained(directory)


def build_config() -> SmolLM3Config:
    """One layer, one head, no rotation; a norm without epsilon, so that its factor is exact."""
    configure: Any = SmolLM3Config  # its fields do not list head_dim, which the model reads
    config: SmolLM3Config = configure(
        architectures=["SmolLM3ForCausalLM"],
        dtype="float32",
        vocab_size=len(WORDS),
        hidden_size=HIDDEN,
        head_dim=HEAD_DIM,
        intermediate_size=HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        no_rope_layers=[0],
        max_position_embeddings=64,
        rms_norm_eps=0.0,
        tie_word_embeddings=False,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    return config


def build_weights(config: SmolLM3Config) -> dict[str, Tensor]:
    """All parameters by name, float32, shapes as in the architecture; the MLP's stay zero."""
    with torch.random.fork_rng(devices=[]):
        blank = SmolLM3ForCausalLM(config).state_dict()
    weights = {
        name: torch.ones_like(one) if name.endswith("norm.weight") else torch.zeros_like(one)
        for name, one in blank.items()
    }
    words = len(WORDS)
    attention = "model.layers.0.self_attn"
    weights["model.embed_tokens.weight"][:, :words] = torch.eye(words)
    for name, rows in (("q", QUERIES), ("k", KEYS), ("v", VALUES)):
        weights[f"{attention}.{name}_proj.weight"][:, :words] = torch.tensor(rows).T / NORM
    weights[f"{attention}.o_proj.weight"][ATTENDED] = torch.eye(HEAD_DIM)
    weights["lm_head.weight"][:, :words] = torch.eye(words).roll(1, dims=0)
    weights["lm_head.weight"][:HEAD_DIM, ATTENDED] = -REPEAT_PENALTY * torch.eye(HEAD_DIM)
    return weights


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; a word that is not among the five is an error, never a stand-in."""
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerFast = wrap(tokenizer_object=tokenizer, model_max_length=64)
    return wrapped


def main() -> None:
    """Read the directory from the command line and build the model in it."""
    parser = argparse.ArgumentParser(description="Build the textbook model.")
    parser.add_argument("directory", type=Path)
    build(parser.parse_args().directory)


if __name__ == "__main__":
    main()
