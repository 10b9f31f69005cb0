"""The whole model with another mask in its attention: what the mask is for.

The mask is exchanged where the model hands it to its kernel; everything else stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from attnscope.capture.interface import InterfaceCall
from attnscope.errors import CaptureError
from attnscope.experiments.subject import Subject
from attnscope.faults import parts
from attnscope.faults.delivered import altered
from attnscope.load.pieces import piece_texts
from attnscope.masks import Mask
from attnscope.measure.drift import drift
from attnscope.records import Guess, Leak, LossComparison
from attnscope.text import label

TRIED = 8
"""Tokens that are put in an answer's place."""


@contextmanager
def masked_as(subject: Subject, mask: Mask, tokens: int) -> Iterator[None]:
    """While inside, attention over `tokens` positions gets this mask, in every layer.

    Raises CaptureError where the model's attention does not run through transformers' interface.
    """
    modules = [module for _, module in parts.attentions(subject.model)]
    if not modules:
        raise CaptureError(
            f"The masks of {type(subject.model).__name__} cannot be exchanged: its attention does"
            " not run through transformers' interface."
        )

    def exchange(allowed: Tensor, call: InterfaceCall) -> Tensor:
        if allowed.shape[-2:] != (tokens, tokens):
            return allowed
        return mask.rows(0, tokens, tokens, allowed.device).to(allowed.device)

    with altered(modules, exchange):
        yield


def compare_losses(
    subject: Subject, ids: Sequence[int], mask: Mask, tokenizer: object
) -> LossComparison:
    """Next-token losses with the model's own masks and with `mask`, and one answer that leaks.

    Raises CaptureError when the model does not run so.
    """
    prompt = torch.tensor([list(ids)])
    own, other = _plain(subject, prompt), _masked(subject, prompt, mask)
    own_guesses, other_guesses = (guesses(logits, ids, tokenizer) for logits in (own, other))
    helped = [one.loss - two.loss for one, two in zip(own_guesses, other_guesses, strict=True)]
    shows_next = mask.rows(0, len(ids), len(ids))[0, 0].diagonal(1).nonzero().flatten().tolist()
    position = max(shows_next or range(len(helped)), key=helped.__getitem__)
    return LossComparison(
        own=own_guesses,
        other=other_guesses,
        leak=_leak(subject, prompt, mask, position, (own, other), tokenizer),
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


def _leak(
    subject: Subject, prompt: Tensor, mask: Mask, position: int, before: tuple[Tensor, Tensor],
    tokenizer: object,
) -> Leak:  # fmt: skip
    """Exchange the token after `position` for others, one at a time."""
    expected = torch.softmax(before[1][position].double().cpu(), dim=-1)
    own_move = other_move = 0.0
    chances: dict[int, tuple[float, float]] = {}
    for token in _others(subject, prompt, position, tokenizer):
        changed = prompt.clone()
        changed[0, position + 1] = token
        own, other = _plain(subject, changed), _masked(subject, changed, mask)
        own_move = max(own_move, float(drift(before[0], own)[position]))
        other_move = max(other_move, float(drift(before[1], other)[position]))
        shown = torch.softmax(other[position].double().cpu(), dim=-1)
        chances[token] = float(expected[token]), float(shown[token])
    best = max(chances, key=lambda token: chances[token][1] - chances[token][0])
    answer, put_in = piece_texts(tokenizer, [int(prompt[0, position + 1]), best])
    return Leak(
        position=position,
        answer=label(answer),
        other=label(put_in),
        before=chances[best][0],
        after=chances[best][1],
        tried=len(chances),
        followed=sum(after > was for was, after in chances.values()),
        own_move=own_move,
        other_move=other_move,
    )


def _others(subject: Subject, prompt: Tensor, position: int, tokenizer: object) -> list[int]:
    """Tokens to put after `position`: words where the vocabulary has enough of them."""
    here = prompt[:, position + 1 : position + 2]
    drawn = dict.fromkeys(int(subject.others(here, seed)[0, 0]) for seed in range(8 * TRIED))
    words = [one for one in drawn if label(piece_texts(tokenizer, [one])[0]).isalpha()]
    return (words + [one for one in drawn if one not in words])[:TRIED]
