"""What each head does: two numbers per head, straight from its attention weights."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from attnscope.models.fable.synthetic import NO_SOURCE, Pattern, repeated_tokens

INDUCTION_PATTERNS = tuple(
    Pattern(prefix=prefix, period=period, gap=gap)
    for prefix in (0, 7, 40)
    for period in (12, 50, 100)
    for gap in (0, 9)
)
"""The repeats that induction is measured on."""


@torch.inference_mode()
def attention_weights(
    model: PreTrainedModel, tokens: Int[Tensor, " query"]
) -> Float[Tensor, "layer head query query"]:
    """Return the weights of one sequence of ids.

    The model must have been loaded with `attn_implementation="eager"`.
    """
    attentions = model(tokens[None], output_attentions=True).attentions
    return torch.stack(attentions)[:, 0]


def previous_token_scores(
    model: PreTrainedModel, documents: Sequence[Int[Tensor, " _"]]
) -> Float[Tensor, "layer head"]:
    """Return each head's mean weight on the token before the query.

    Every query but the first of each document counts alike. No document may be longer than the
    model's positions.
    """
    per_document = []
    for tokens in documents:
        weights = attention_weights(model, tokens)
        per_document.append(weights.diagonal(offset=-1, dim1=2, dim2=3))
    return torch.cat(per_document, dim=-1).mean(-1)


def induction_scores(
    model: PreTrainedModel,
    patterns: Sequence[Pattern] = INDUCTION_PATTERNS,
    seed: int = 0,
) -> Float[Tensor, "layer head"]:
    """Return each head's mean weight on the token after the previous occurrence of the query's.

    Measured where a block of random tokens comes for the second time. Every pattern counts alike.
    """
    generator = torch.Generator().manual_seed(seed)
    vocabulary = range(1, model.config.vocab_size)
    per_pattern = []
    for pattern in patterns:
        length = pattern.prefix + pattern.gap + 2 * pattern.period
        tokens, sources = repeated_tokens(pattern, length, vocabulary, generator)
        (queries,) = torch.nonzero(sources != NO_SOURCE, as_tuple=True)
        weights = attention_weights(model, tokens)
        per_pattern.append(weights[:, :, queries, sources[queries]].mean(-1))
    return torch.stack(per_pattern).mean(0)
