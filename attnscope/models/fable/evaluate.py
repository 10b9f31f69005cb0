"""Measure the stored model: held-out loss against the baseline, and what its heads do.

python -m attnscope.models.fable.evaluate TEXT_FILE [--model DIRECTORY]
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedModel

from attnscope.models.fable.corpus import TokenIds, encode, load_tokenizer, read_split
from attnscope.models.fable.head_scores import induction_scores, previous_token_scores
from attnscope.models.fable.kneser_ney import fitted_model

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Loss of every held-out token, in nats."""

    model: Float[Tensor, " tokens"]
    """The language model's."""
    baseline: NDArray[np.float64]
    """The Kneser-Ney trigram's on the same tokens, shape (tokens,)."""


def load(directory: Path = WEIGHTS) -> PreTrainedModel:
    """Load the stored weights for evaluation, with attention weights to look at."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        directory, dtype="auto", attn_implementation="eager"
    )
    return model


@torch.inference_mode()
def token_losses(
    model: PreTrainedModel, tokens: Int[Tensor, " tokens"]
) -> Float[Tensor, " tokens-1"]:
    """Return -ln p of every token but the first.

    For sequences no longer than the model's positions.
    """
    logits = model(tokens[None, :-1]).logits[0]
    return functional.cross_entropy(logits, tokens[1:], reduction="none")


def sliding_losses(model: PreTrainedModel, document: TokenIds) -> Float[Tensor, " scored"]:
    """Return -ln p of every token of a document but the first.

    Windows as long as the model's positions advance by half a window, and each scores what the
    one before did not: every token is scored once, with half a window of context or more where
    the document has it.
    """
    tokens = torch.from_numpy(document)
    window = model.config.max_position_embeddings
    stride = window // 2
    parts = []
    scored = 0
    for start in range(0, max(1, len(tokens) - 1 - stride), stride):
        losses = token_losses(model, tokens[start : start + window + 1])
        parts.append(losses[scored - start :])
        scored = start + len(losses)
    return torch.cat(parts)


def held_out_losses(model: PreTrainedModel, directory: Path, text: Path) -> HeldOut:
    """Score the held-out part of `text` with the model and with the baseline.

    `directory` holds the tokenizer. The baseline is counted on the training part.
    """
    tokenizer = load_tokenizer(directory)
    split = read_split(text)
    training = [encode(tokenizer, document) for document in split.training]
    held_out = [encode(tokenizer, document) for document in split.held_out]
    baseline = fitted_model(training, len(tokenizer))
    return HeldOut(
        model=torch.cat([sliding_losses(model, document) for document in held_out]),
        baseline=np.concatenate([baseline.losses(document) for document in held_out]),
    )


def losses_by_position(
    model: PreTrainedModel, documents: Sequence[TokenIds], edges: Sequence[int]
) -> list[float]:
    """Return the mean loss between each two `edges`, over full windows at half strides."""
    window = model.config.max_position_embeddings
    rows = [
        token_losses(model, torch.from_numpy(document[start : start + window + 1]))
        for document in documents
        for start in range(0, len(document) - window, window // 2)
    ]
    by_position = torch.stack(rows).mean(0)
    return [float(by_position[low:high].mean()) for low, high in pairwise(edges)]


def windows(documents: Sequence[TokenIds], length: int) -> list[Int[Tensor, " _"]]:
    """Cut documents into pieces of at most `length` tokens."""
    return [
        piece
        for document in documents
        for piece in torch.split(torch.from_numpy(document), length)
        if len(piece) > 1
    ]


def report(directory: Path, text: Path) -> str:
    """Measure the stored model and return what was found, as lines of text."""
    model = load(directory)
    tokenizer = load_tokenizer(directory)
    held_out = [encode(tokenizer, document) for document in read_split(text).held_out]
    losses = held_out_losses(model, directory, text)
    edges = (0, 64, 128, 256, 384, 512)
    by_position = losses_by_position(model, held_out, edges)
    lines = [
        f"parameters       {model.num_parameters():,}",
        f"held-out tokens  {len(losses.model):,}",
        f"model            {losses.model.mean():.4f} nats per token",
        f"Kneser-Ney       {losses.baseline.mean():.4f} nats per token",
        *(
            f"  at positions {low} to {high - 1}: {loss:.3f}"
            for (low, high), loss in zip(pairwise(edges), by_position, strict=True)
        ),
        "weight on the previous token, held-out text",
        *_table(previous_token_scores(model, windows(held_out, 256))),
        "weight on the token after the previous occurrence, repeated random tokens",
        *_table(induction_scores(model)),
    ]
    return "\n".join(lines)


def _table(scores: Float[Tensor, "layer head"]) -> list[str]:
    return [
        f"  layer {layer}  " + "  ".join(f"{score:.3f}" for score in row)
        for layer, row in enumerate(scores.tolist())
    ]


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description="Measure the bundled model.")
    parser.add_argument("text", type=Path, help="the text file that the model was trained on")
    parser.add_argument("--model", type=Path, default=WEIGHTS, help="the model directory")
    arguments = parser.parse_args()
    sys.stdout.write(report(arguments.model, arguments.text) + "\n")


if __name__ == "__main__":
    main()
