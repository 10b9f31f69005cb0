"""Run the model in a condition and read each attention call's mask and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from attnscope.capture import capture
from attnscope.declared import Declared
from attnscope.experiments.subject import Subject
from attnscope.load.describe import attention_heads
from attnscope.measure.reading import Span, read_call
from attnscope.records import AttentionCall, Unseen
from attnscope.records.evidence import CallReading, Readings


def read(
    subject: Subject,
    key: str,
    ids: Tensor,
    aside: Tensor,
    declared: Sequence[Declared],
    widest: Declared,
) -> Readings:
    """One run in a condition whose forwards all cover the whole row.

    A layer that is not among the `declared` ones may see what the whole model may.
    """
    span = span_of(key, ids.shape[1], aside.shape[1])
    calls: list[CallReading] = []
    unseen: list[str] = []

    def on_call(call: AttentionCall) -> None:
        known = 0 <= call.layer < len(declared)
        own = declared[call.layer] if known else replace(widest, exact=False)
        calls.append(read_call(call, span, own))

    def on_unseen(one: Unseen) -> None:
        square = one.shape is None or one.shape[-2:] == (span.length, span.length)
        if square:
            unseen.append(f"{one.module}: {one.reason}")

    with capture(subject.model, on_call, on_unseen):
        subject.run(key, ids, aside)
    return Readings(
        calls=tuple(calls),
        unseen=tuple(dict.fromkeys(unseen)),
        heads=attention_heads(subject.config.get_text_config(decoder=True)),
    )


def span_of(key: str, tokens: int, aside: int) -> Span:
    """Where the tokens in question stand in a condition."""
    before = {"left_padding": aside, "packed": aside, "packed_cached": aside}.get(key, 0)
    beside = {"left_padding": "pads", "right_padding": "pads", "padded_row": "pads"}.get(key, "")
    if key.startswith("packed"):
        beside = "documents"
    if key == "padded_row":
        return Span(row=1, start=aside - tokens, tokens=tokens, length=aside, beside=beside)
    length = tokens + aside if beside else tokens
    row = 1 if key == "second_row" else 0
    return Span(row=row, start=before, tokens=tokens, length=length, beside=beside)
