"""The whole model with another mask in its attention: what the mask is for.

The mask is exchanged where the model hands it to its kernel; everything else stays as it is.
Models that call no kernel through transformers' interface get another output instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor

from attnscope.capture import capture
from attnscope.capture.interface import InterfaceCall
from attnscope.capture.session import OnCall
from attnscope.errors import CaptureError
from attnscope.experiments.subject import Subject
from attnscope.experiments.switches import batched_experts
from attnscope.faults import parts
from attnscope.faults.delivered import altered
from attnscope.load.pieces import piece_texts
from attnscope.masks import Mask
from attnscope.measure.attention import output_rows, row_blocks, weight_rows
from attnscope.measure.drift import drift
from attnscope.measure.trace import under_mask
from attnscope.records import AttentionCall, Guess, Leak, LossComparison
from attnscope.text import label

TRIED = 8
"""Tokens that are put in an answer's place."""


@contextmanager
def masked_as(
    subject: Subject, mask: Mask, tokens: int, watch: OnCall | None = None
) -> Iterator[None]:
    """While inside, attention over `tokens` positions gets this mask, in every layer.

    It is exchanged at transformers' interface; where attention does not pass there, its output is
    replaced by the reference's under this mask. `watch` is told each attention call.

    Raises CaptureError where neither is possible.
    """
    modules = [module for _, module in parts.attentions(subject.model)]
    if not modules:
        _require_reach(subject, tokens)
        with capture(subject.model, partial(_replace, mask=mask, tokens=tokens, watch=watch)):
            yield
        return

    def exchange(allowed: Tensor, call: InterfaceCall) -> Tensor:
        if allowed.shape[-2:] != (tokens, tokens):
            return allowed
        return mask.rows(0, tokens, tokens).to(allowed.device)

    with ExitStack() as stack:
        stack.enter_context(altered(modules, exchange))
        if watch is not None:
            stack.enter_context(capture(subject.model, watch))
        yield


def _replace(call: AttentionCall, *, mask: Mask, tokens: int, watch: OnCall | None) -> None:
    """Write the output under another mask over the kernel's own, before the model reads it."""
    if watch is not None:
        watch(call)
    if (call.queries, call.keys) != (tokens, tokens):
        return
    if call.query is None:
        raise CaptureError(
            f"The mask of {call.module} cannot be exchanged: its scores are unknown."
        )
    other = under_mask(call, mask)
    rows = (output_rows(other, weight_rows(other, *span)) for span in row_blocks(other))
    call.output.copy_(torch.cat(list(rows), dim=1)[None])


def _require_reach(subject: Subject, tokens: int) -> None:
    """Write NaN over what attention gives: the model must notice, or nothing would be exchanged."""
    prompt, calls = subject.draw(tokens, seed=0), list[str]()

    def spoil(call: AttentionCall) -> None:
        calls.append(call.module)
        call.output.fill_(torch.nan)

    with capture(subject.model, spoil):
        logits = _plain(subject, prompt)
    name = type(subject.model).__name__
    if not calls:
        raise CaptureError(f"No attention of {name} was seen: it has no mask that could be taken.")
    if not bool(logits.isnan().all()):
        raise CaptureError(f"The masks of {name} cannot be exchanged.")


def compare_losses(
    subject: Subject, ids: Sequence[int], mask: Mask, tokenizer: object
) -> LossComparison:
    """Next-token losses with the model's own masks and with `mask`, and one answer that leaks.

    Raises CaptureError when the model does not run so.
    """
    prompt = torch.tensor([list(ids)])
    own, other = _both(subject, prompt, mask)
    own_guesses, other_guesses = (guesses(logits, ids, tokenizer) for logits in (own, other))
    helped = [one.loss - two.loss for one, two in zip(own_guesses, other_guesses, strict=True)]
    shows_next = mask.rows(0, len(ids), len(ids))[0, 0].diagonal(1).nonzero().flatten().tolist()
    position = max(shows_next or range(len(helped)), key=helped.__getitem__)
    return LossComparison(
        own=own_guesses,
        other=other_guesses,
        leak=_leak(subject, prompt, mask, position, tokenizer),
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

    Each token's experts are computed apart, so that nothing moves by rounding.
    """
    own_move = other_move = 0.0
    chances: dict[int, tuple[float, float]] = {}
    with batched_experts(subject.model):
        own, other = (run[position] for run in _both(subject, prompt, mask))
        for token in _others(subject, prompt, position, tokenizer):
            put_in = prompt.clone()
            put_in[0, position + 1] = token
            new, shown = (run[position] for run in _both(subject, put_in, mask))
            own_move = max(own_move, float(drift(own[None], new[None])))
            other_move = max(other_move, float(drift(other[None], shown[None])))
            chances[token] = _chance(other, token), _chance(shown, token)
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
