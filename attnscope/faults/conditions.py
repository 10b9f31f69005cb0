"""Leaks that are there only when the model is asked in a certain way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from attnscope.capture.interface import Attention, InterfaceCall
from attnscope.faults import alterations, parts
from attnscope.faults.asked import asked
from attnscope.faults.delivered import Alter, Result, altered, calls_of, run
from attnscope.faults.fault import Fault, Plant

When = Callable[[Mapping[str, Any], InterfaceCall], bool]
"""From the arguments of the model's forward, and an attention call in it."""


def only(when: When, alter: Alter = alterations.everything) -> Plant:
    """Plant an altered mask in the last attention layer, in some calls only."""

    @contextmanager
    def plant(model: Any) -> Iterator[str]:
        name, module = parts.attentions(model)[-1]
        with asked(model) as arguments:

            def change(allowed: Tensor, call: InterfaceCall) -> Tensor:
                return alter(allowed, call) if when(arguments, call) else allowed

            with altered([module], change):
                yield name

    return plant


@contextmanager
def halved_scores(model: Any) -> Iterator[str]:
    """Scores are halved when attention weights are asked for."""
    name, module = parts.attentions(model)[-1]
    with asked(model) as arguments:

        def around(attention: Attention, call: InterfaceCall) -> Result:
            if not arguments.get("output_attentions"):
                return attention(*call.args, **call.kwargs)
            return run(attention, call, query=call.query * 0.5)

        with calls_of([module], around):
            yield name


def _second_row(allowed: Tensor, call: InterfaceCall) -> Tensor:
    if call.query.shape[0] < 2:
        return allowed
    rows = alterations.of_rows(allowed, call)
    rows[1:] = True
    return rows


def _padded(arguments: Mapping[str, Any], call: InterfaceCall) -> bool:
    mask = arguments.get("attention_mask")
    return isinstance(mask, Tensor) and not bool(mask.all())


def _several(arguments: Mapping[str, Any], call: InterfaceCall) -> bool:
    return 1 < call.query.shape[2] < call.key.shape[2]


def _static(arguments: Mapping[str, Any], call: InterfaceCall) -> bool:
    return "Static" in type(arguments.get("past_key_values")).__name__


def _packed(arguments: Mapping[str, Any], call: InterfaceCall) -> bool:
    places = arguments.get("position_ids")
    alone = arguments.get("attention_mask") is None and not arguments.get("use_cache")
    return alone and isinstance(places, Tensor) and bool((places.diff() < 0).any())


def _attends(model: Any) -> bool:
    return bool(parts.attentions(model))


def _caches(model: Any) -> bool:
    return parts.attends_only(model) and parts.takes(model, "past_key_values", "use_cache")


FAULTS = (
    Fault(
        name="leak with a mask of ones",
        key="with-ones",
        words="The last attention layer sees every key once an attention_mask is passed.",
        caught_by=("ATN201", "ATN101", "ATN301", "ATN405"),
        plant=only(lambda arguments, call: arguments.get("attention_mask") is not None),
        applies=lambda model: _attends(model) and parts.takes(model, "attention_mask"),
    ),
    Fault(
        name="leak with padding",
        key="with-padding",
        words="The last attention layer sees every key once the attention_mask holds pads.",
        caught_by=("ATN101", "ATN201", "ATN204", "ATN301", "ATN404"),
        plant=only(_padded),
        applies=lambda model: _attends(model) and parts.takes(model, "attention_mask"),
    ),
    Fault(
        name="leak with use_cache",
        key="with-cache",
        words="The last attention layer sees every key with use_cache=True.",
        caught_by=("ATN201", "ATN101", "ATN301", "ATN405"),
        plant=only(lambda arguments, call: bool(arguments.get("use_cache"))),
        applies=lambda model: _attends(model) and parts.takes(model, "use_cache"),
        quick=False,
    ),
    Fault(
        name="leak with several tokens a step",
        key="several-tokens",
        words="The last attention layer sees every key when several tokens follow a cache.",
        caught_by=("ATN301", "ATN401"),
        plant=only(_several),
        applies=_caches,
        quick=False,
    ),
    Fault(
        name="leak with output_attentions",
        key="with-attentions",
        words="The last attention layer sees every key when weights are asked for.",
        caught_by=("ATN301", "ATN405"),
        plant=only(lambda arguments, call: bool(arguments.get("output_attentions"))),
        applies=_attends,
        quick=False,
    ),
    Fault(
        name="other scores with output_attentions",
        key="scores-with-attentions",
        words="The last attention layer halves its scores when weights are asked for.",
        caught_by=("ATN405",),
        plant=halved_scores,
        applies=_attends,
    ),
    Fault(
        name="leak in a batch of 1",
        key="batch-of-one",
        words="The last attention layer sees every key when the batch has a single row.",
        caught_by=("ATN302", "ATN201", "ATN301", "ATN405"),
        plant=only(lambda arguments, call: call.query.shape[0] == 1),
        applies=_attends,
    ),
    Fault(
        name="leak in the second row of a batch",
        key="second-row",
        words="The last attention layer sees every key in all rows but the first.",
        caught_by=("ATN301", "ATN201", "ATN405"),
        plant=only(lambda arguments, call: True, _second_row),
        applies=_attends,
        quick=False,
    ),
    Fault(
        name="packed documents mixed in one layer",
        key="mixed-in-layer",
        words="The last attention layer sees the whole past, whatever document it belongs to.",
        caught_by=("ATN205", "ATN307", "ATN408"),
        plant=only(_packed, lambda allowed, call: alterations.whole_past(allowed)),
        applies=parts.packs,
        quick=False,
    ),
    Fault(
        name="diagonal from the wrong corner",
        key="top-left",
        words="With a cache the causal diagonal is counted from the top left.",
        caught_by=("ATN401",),
        plant=only(_several, alterations.from_top_left),
        applies=_caches,
        quick=False,
    ),
    Fault(
        name="empty slot of a static cache open",
        key="empty-slot",
        words="The last attention layer sees the last slot of a static cache.",
        caught_by=("ATN402",),
        plant=only(_static, alterations.last_slot),
        applies=lambda model: _caches(model) and bool(model._can_compile_fullgraph),
        quick=False,
    ),
)
"""In reading order."""
