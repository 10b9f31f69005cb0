"""Leaks in the mask that one layer's kernel is handed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attnscope.capture.interface import Attention, InterfaceCall
from attnscope.faults import alterations, parts
from attnscope.faults.delivered import Alter, Result, additive, altered, calls_of, delivered, run
from attnscope.faults.fault import Fault, Plant

SMALL, OLD, RAISED = -4.0, -1e4, 4000.0
"""A number too small to close a cell, one that older code adds, and scores that beat it."""


def in_last(alter: Alter) -> Plant:
    """Plant an altered mask in the last attention layer."""

    @contextmanager
    def plant(model: Any) -> Iterator[str]:
        name, module = parts.attentions(model)[-1]
        with altered([module], alter):
            yield name

    return plant


def in_first(alter: Alter) -> Plant:
    """Plant an altered mask in the first attention layer."""

    @contextmanager
    def plant(model: Any) -> Iterator[str]:
        name, module = parts.attentions(model)[0]
        with altered([module], alter):
            yield name

    return plant


def in_all(alter: Alter) -> Plant:
    """Plant an altered mask in every attention layer."""

    @contextmanager
    def plant(model: Any) -> Iterator[str]:
        with altered([module for _, module in parts.attentions(model)], alter):
            yield ""

    return plant


@contextmanager
def small_number(model: Any) -> Iterator[str]:
    """Closed cells get a number that scores may beat."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        if call.query.shape[2] == 1:
            return attention(*call.args, **call.kwargs)
        return run(attention, call, attention_mask=additive(delivered(call), call, SMALL))

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


@contextmanager
def beaten_number(model: Any) -> Iterator[str]:
    """Closed cells get -1e4, and scores are larger than that."""

    def around(attention: Attention, call: InterfaceCall) -> Result:
        mask = additive(delivered(call), call, OLD)
        return run(attention, call, attention_mask=mask, query=call.query * RAISED)

    name, module = parts.attentions(model)[-1]
    with calls_of([module], around):
        yield name


def attends(model: Any) -> bool:
    """There is attention at transformers' interface."""
    return bool(parts.attentions(model))


def _exact(model: Any) -> bool:
    return attends(model) and parts.declared_exactly(model, parts.attentions(model)[-1][0])


def _uncapped(model: Any) -> bool:
    text = model.config.get_text_config(decoder=True)
    return _tensor_masks(model) and not getattr(text, "attn_logit_softcapping", None)


def _tensor_masks(model: Any) -> bool:
    return attends(model) and parts.backend(model) in {"eager", "sdpa"}


FAULTS = (
    Fault(
        name="mask dropped in the last layer",
        key="dropped-last",
        words="The last attention layer's mask leaves every cell open.",
        caught_by=("ATN302", "ATN201", "ATN101", "ATN301"),
        plant=in_last(alterations.everything),
        applies=attends,
    ),
    Fault(
        name="mask dropped in the first layer",
        key="dropped-first",
        words="The first attention layer's mask leaves every cell open.",
        caught_by=("ATN201", "ATN302", "ATN101", "ATN301"),
        plant=in_first(alterations.everything),
        applies=attends,
    ),
    Fault(
        name="mask dropped in one head",
        key="dropped-in-head",
        words="The last head of the last attention layer sees every key.",
        caught_by=("ATN101", "ATN201", "ATN302", "ATN301"),
        plant=in_last(alterations.in_one_head),
        applies=attends,
    ),
    Fault(
        name="bidirectional decoder",
        key="bidirectional",
        words="Every attention layer's mask leaves every cell open.",
        caught_by=("ATN301", "ATN201", "ATN302", "ATN101"),
        plant=in_all(alterations.everything),
        applies=attends,
    ),
    Fault(
        name="mask off by one: the next token is seen",
        key="sees-next",
        words="Each query of the last attention layer sees one key more.",
        caught_by=("ATN201", "ATN302", "ATN101", "ATN301"),
        plant=in_last(alterations.next_token),
        applies=attends,
    ),
    Fault(
        name="mask off by one: no query sees itself",
        key="not-itself",
        words="Each query of the last attention layer is blind to its own position.",
        caught_by=("ATN203",),
        plant=in_last(alterations.not_itself),
        applies=_exact,
    ),
    Fault(
        name="blind to the nearest key",
        key="not-the-nearest",
        words="Each query of the last attention layer is blind to the key right before it.",
        caught_by=("ATN304", "ATN203"),
        plant=in_last(alterations.without_nearest),
        applies=_exact,
    ),
    Fault(
        name="mask inverted",
        key="inverted",
        words="The last attention layer sees what it must not see, and nothing else.",
        caught_by=("ATN201", "ATN302", "ATN101", "ATN301"),
        plant=in_last(alterations.inverted),
        applies=attends,
    ),
    Fault(
        name="one key open to every query",
        key="one-column",
        words="The last attention layer's mask leaves one key open to all queries.",
        caught_by=("ATN201", "ATN302", "ATN101", "ATN301"),
        plant=in_last(alterations.one_column),
        applies=attends,
    ),
    Fault(
        name="mask made for another length",
        key="shorter-mask",
        words="The mask was made for three quarters of the keys and filled up with zeros.",
        caught_by=("ATN101", "ATN201", "ATN302", "ATN301"),
        plant=in_last(alterations.shorter),
        applies=attends,
    ),
    Fault(
        name="mask with holes",
        key="with-holes",
        words="Random past cells are closed in one head of the last attention layer.",
        caught_by=("ATN203",),
        plant=in_last(alterations.with_holes),
        applies=_exact,
    ),
    Fault(
        name="fully masked row",
        key="closed-row",
        words="The last attention layer's mask closes every key to one query.",
        caught_by=("ATN103",),
        plant=in_last(alterations.closed_row),
        applies=attends,
    ),
    Fault(
        name="mask of a small negative number",
        key="small-number",
        words=f"Closed cells of the last attention layer get {SMALL:g} instead of the minimum.",
        caught_by=("ATN101", "ATN201", "ATN302", "ATN301"),
        plant=small_number,
        applies=_tensor_masks,
    ),
    Fault(
        name="scores that beat the mask",
        key="beaten-number",
        words=f"Closed cells get {OLD:g}, and the last attention layer's scores are larger.",
        caught_by=("ATN101", "ATN302", "ATN301"),
        plant=beaten_number,
        applies=_uncapped,
        prove=False,  # small models have no such scores
    ),
)
"""In reading order."""
