"""A continuation read with the future in view, and what is left when there is none.

The same tokens are expected three ways: with the model's own masks; with every mask taken away
and the whole text there; with every mask taken away and only what comes before there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from attnscope.capture import capture
from attnscope.capture.traits import routes
from attnscope.experiments.exchange import masked_as
from attnscope.experiments.generation import Names
from attnscope.experiments.remask import require_numbers
from attnscope.experiments.subject import Subject
from attnscope.experiments.switches import batched_experts
from attnscope.masks import everything
from attnscope.records import AttentionCall, GivenToken


def given_tokens(
    subject: Subject, ids: list[int], start: int, labels: tuple[str, ...], names: Names
) -> tuple[GivenToken, ...]:
    """How each token from position `start` on is expected.

    Raises CaptureError when the model does not run, or its masks cannot be taken away.
    """
    masked, cheating = _logits(subject, ids), _unmasked(subject, ids)
    require_numbers(masked, ids)
    require_numbers(cheating, ids)
    answers = []
    for position in range(start, len(ids)):
        sides = {
            "masked": masked[position - 1],
            "cheating": cheating[position - 1],
            "alone": _unmasked(subject, ids[:position])[-1],
        }
        told = {name: names(logits, 1)[0] for name, logits in sides.items()}
        losses = {
            f"{name}_loss": -float(torch.log_softmax(logits.double().cpu(), -1)[ids[position]])
            for name, logits in sides.items()
        }
        answers.append(
            GivenToken(position=position, label=labels[position], **told, **losses)  # type: ignore[arg-type]
        )
    return tuple(answers)


def written(subject: Subject, prompt: list[int], steps: int, *, masked: bool) -> list[int]:
    """The likeliest tokens one after the other, with the model's masks or with none."""
    text = list(prompt)
    for _ in range(steps):
        logits = _logits(subject, text) if masked else _unmasked(subject, text)
        text.append(int(logits[-1].argmax()))
    return text[len(prompt) :]


def stored_moves(subject: Subject, prompt: list[int], *, masked: bool) -> tuple[int, int]:
    """Of the prompt's keys and values, how many change when the token after it is another one.

    Returns (changed, all), counted in numbers; (0, 0) where experts that cannot be computed apart
    make them change by rounding.
    """
    first, second = subject.draw(2, seed=0)[0].tolist()
    if first == second:
        second = int(subject.others(torch.tensor([[first]]), 0)[0, 0])
    with batched_experts(subject.model) as apart:  # so that nothing changes by rounding
        before, after = (_stored(subject, [*prompt, one], masked=masked) for one in (first, second))
    changed = sum(int((one != two).sum()) for one, two in zip(before, after, strict=True))
    if masked and changed and routes(subject.model) and not apart:
        return 0, 0
    return changed, sum(one.numel() for one in before)


def _stored(subject: Subject, ids: list[int], *, masked: bool) -> list[Tensor]:
    """Keys and values of all positions but the last."""
    found: list[Tensor] = []

    def keep(call: AttentionCall) -> None:
        for tensor in (call.key, call.value):
            if tensor is not None:
                found.append(tensor[:, :, :-1].clone())

    watching = (
        capture(subject.model, keep)
        if masked
        else masked_as(subject, everything(), len(ids), watch=keep)
    )
    with watching:
        _logits(subject, ids)
    return found


def _logits(subject: Subject, ids: list[int]) -> Tensor:
    prompt = torch.tensor([ids])
    return subject.run("plain", prompt, prompt[:, :0])


def _unmasked(subject: Subject, ids: list[int]) -> Tensor:
    with masked_as(subject, everything(), len(ids)):
        return _logits(subject, ids)
