"""The whole model with another mask in its attention: what the mask is for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from attnscope.capture.traits import routes
from attnscope.errors import CaptureError
from attnscope.experiments.exchange import masked_as
from attnscope.experiments.floor import FLOOR_FACTOR, rounding_floor
from attnscope.experiments.subject import Subject
from attnscope.experiments.switches import batched_experts
from attnscope.load.pieces import piece_texts
from attnscope.masks import Mask
from attnscope.measure.drift import drift
from attnscope.records import Guess, Leak, LossComparison
from attnscope.text import label

TRIED = 8
"""Tokens that are put in an answer's place."""


def compare_losses(
    subject: Subject, ids: Sequence[int], mask: Mask, tokenizer: object
) -> LossComparison:
    """Next-token losses with the model's own masks and with `mask`, and one answer that leaks.

    Raises CaptureError when the model does not run so, or gives no numbers.
    """
    prompt = torch.tensor([list(ids)])
    own, other = _both(subject, prompt, mask)
    require_numbers(own, ids)
    require_numbers(other, ids)
    own_guesses, other_guesses = (guesses(logits, ids, tokenizer) for logits in (own, other))
    helped = [one.loss - two.loss for one, two in zip(own_guesses, other_guesses, strict=True)]
    shows_next = mask.rows(0, len(ids), len(ids))[0, 0].diagonal(1).nonzero().flatten().tolist()
    position = max(shows_next or range(len(helped)), key=helped.__getitem__)
    return LossComparison(
        own=own_guesses,
        other=other_guesses,
        leak=_leak(subject, prompt, mask, position, tokenizer),
    )


def require_numbers(logits: Tensor, ids: Sequence[int] = ()) -> None:
    """Raise CaptureError for logits of which nothing can be said, or that leave an id out."""
    if bool(logits.isnan().any()):
        raise CaptureError(
            "The model's logits are no numbers (NaN), so nothing can be said of them."
        )
    if ids and max(ids) >= logits.shape[-1]:
        raise CaptureError(
            f"The model reads token id {max(ids)}, but expects only ids up to"
            f" {logits.shape[-1] - 1}."
        )


def guesses(logits: Tensor, ids: Sequence[int], tokenizer: object) -> tuple[Guess, ...]:
    """What logits of shape (token, vocab) expect after each token but the last."""
    chances = torch.log_softmax(logits[:-1].double().cpu(), dim=-1)
    best = chances.argmax(dim=-1).tolist()
    answers = torch.tensor(list(ids[1:]))[:, None]
    losses = (-chances.gather(1, answers)[:, 0]).tolist()
    names = piece_texts(tokenizer, best)
    return tuple(
        Guess(token=token, label=label(name), loss=loss)
        for token, name, loss in zip(best, names, losses, strict=True)
    )


def _plain(subject: Subject, prompt: Tensor) -> Tensor:
    return subject.run("plain", prompt, prompt[:, :0])


def _masked(subject: Subject, prompt: Tensor, mask: Mask) -> Tensor:
    with masked_as(subject, mask, prompt.shape[1]):
        return _plain(subject, prompt)


def _leak(subject: Subject, prompt: Tensor, mask: Mask, position: int, tokenizer: object) -> Leak:
    """Exchange the token after `position` for others, one at a time.

    Each token's experts are computed apart, so that nothing moves by rounding; where they cannot
    be, what rounding explains is measured.
    """
    own_move = other_move = 0.0
    chances: dict[int, tuple[float, float]] = {}
    with batched_experts(subject.model) as apart:
        own, other = (run[position] for run in _both(subject, prompt, mask))
        for token in _others(subject, prompt, position, tokenizer):
            put_in = prompt.clone()
            put_in[0, position + 1] = token
            new, shown = (run[position] for run in _both(subject, put_in, mask))
            own_move = max(own_move, float(drift(own[None], new[None])))
            other_move = max(other_move, float(drift(other[None], shown[None])))
            chances[token] = _chance(other, token), _chance(shown, token)
        rounds = routes(subject.model) and not apart
        limit = FLOOR_FACTOR * rounding_floor(subject, prompt, 0) if rounds else 0.0
    best = max(chances, key=lambda token: chances[token][1] - chances[token][0])
    names = [label(text) for text in piece_texts(tokenizer, [int(prompt[0, position + 1]), best])]
    return Leak(
        position=position,
        answer=names[0],
        other=names[1],
        before=chances[best][0],
        after=chances[best][1],
        tried=len(chances),
        followed=sum(after > was for was, after in chances.values()),
        own_move=own_move,
        own_limit=limit,
        other_move=other_move,
    )


def _both(subject: Subject, prompt: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
    return _plain(subject, prompt), _masked(subject, prompt, mask)


def _chance(logits: Tensor, token: int) -> float:
    return float(torch.softmax(logits.double().cpu(), dim=-1)[token])


def _others(subject: Subject, prompt: Tensor, position: int, tokenizer: object) -> list[int]:
    """Tokens to put after `position`: words where the vocabulary has enough of them."""
    here = prompt[:, position + 1 : position + 2]
    drawn = dict.fromkeys(int(subject.others(here, seed)[0, 0]) for seed in range(8 * TRIED))
    words = [one for one in drawn if label(piece_texts(tokenizer, [one])[0]).isalpha()]
    return (words + [one for one in drawn if one not in words])[:TRIED]
