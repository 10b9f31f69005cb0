"""Another mask in all of a live model's attention.

At transformers' interface the mask argument is exchanged, in the form in which the kernel was given
its own. Attention that does not pass there keeps its kernel, and its output is written over, before
the model reads it, with the float64 reference's under the other mask. Afterwards every call is
accounted for: what was not reached is an error, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from attnscope.capture import capture
from attnscope.capture.interface import Attention, InterfaceCall, interface_calls
from attnscope.capture.session import OnCall
from attnscope.errors import CaptureError
from attnscope.experiments.subject import Subject
from attnscope.faults.delivered import Result, delivered, in_its_form, run
from attnscope.masks import PENALTY, Mask
from attnscope.measure.attention import output_rows, row_blocks, weight_rows
from attnscope.measure.trace import biases_are_known, under_mask
from attnscope.records import AttentionCall, Unseen

UNKNOWN_BIAS = "its mask also holds position biases, and those of hidden cells are not known"


@contextmanager
def masked_as(
    subject: Subject, mask: Mask, tokens: int, watch: OnCall | None = None
) -> Iterator[None]:
    """While inside, attention over `tokens` positions gets this mask, in every layer.

    `watch` is told each attention call. Raises CaptureError where any attention is not reached.
    """
    cells = mask.rows(0, tokens, tokens)
    ledger = _Ledger(type(subject.model).__name__, cells, watch)

    def around(attention: Attention, call: InterfaceCall) -> Result:
        before = delivered(call)
        if before.shape[-2:] != (tokens, tokens):
            return attention(*call.args, **call.kwargs)
        after = cells.to(before.device)
        if bool((before == after).all()):
            return attention(*call.args, **call.kwargs)
        if _hides_biases(call.offered.mask, before, after):
            raise ledger.error(UNKNOWN_BIAS)
        return run(attention, call, attention_mask=in_its_form(before, after, call))

    _require_reach(subject, tokens)
    with interface_calls(around), capture(subject.model, ledger.add, ledger.miss):
        yield
    ledger.close()


class _Ledger:
    """Every attention call of a run, and whether the mask reached it."""

    def __init__(self, name: str, cells: Tensor, watch: OnCall | None) -> None:
        self._name, self._cells, self._watch = name, cells, watch
        self._calls = 0
        self._missed: list[str] = []

    def add(self, call: AttentionCall) -> None:
        """Check a call at the interface, or replace the output of one outside it."""
        self._calls += 1
        if self._watch is not None:
            self._watch(call)
        if (call.queries, call.keys) != tuple(self._cells.shape[-2:]):
            self._missed.append(f"{call.module} has {call.queries} queries and {call.keys} keys")
        elif call.offered is None:
            self._replace(call)
        else:
            rows = call.mask.rows(0, call.queries, call.keys, call.output.device).cpu()
            if not bool((rows == self._cells).all()):
                self._missed.append(f"{call.module} was handed another one")

    def miss(self, unseen: Unseen) -> None:
        """Note attention that was not followed."""
        if unseen.over(self._cells.shape[-1]):
            self._missed.append(f"{unseen.module}: {unseen.reason}")

    def close(self) -> None:
        """Raise CaptureError unless the mask reached every call, and there was one."""
        if not self._calls and not self._missed:
            raise CaptureError(
                f"No attention of {self._name} was seen: it has no mask that could be taken."
            )
        if self._missed:
            raise self.error(self._missed[0])

    def error(self, why: str) -> CaptureError:
        """What to raise where the mask does not get through."""
        return CaptureError(f"The masks of {self._name} cannot be exchanged: {why}.")

    def _replace(self, call: AttentionCall) -> None:
        """Write the output under the other mask over the kernel's own, before it is read."""
        cells = self._cells.to(call.output.device)
        mask = Mask(predicate=lambda batch, head, query, key: cells[0, 0][query, key])
        if call.query is None:
            raise self.error(f"the scores of {call.module} are not understood")
        if not biases_are_known(call, mask):
            raise self.error(UNKNOWN_BIAS)
        other = under_mask(call, mask)
        rows = (output_rows(other, weight_rows(other, *span)) for span in row_blocks(other))
        call.output.copy_(torch.cat(list(rows), dim=1)[None])


def _hides_biases(given: object, before: Tensor, after: Tensor) -> bool:
    """True when cells are opened whose position bias stood where the mask's own term is."""
    if not isinstance(given, Tensor) or not given.is_floating_point():
        return False
    open_terms = given[given > PENALTY]
    return bool((after & ~before).any()) and bool((open_terms != 0).any())


def _require_reach(subject: Subject, tokens: int) -> None:
    """Prove once, call by call, that the model reads what is written over its attention's output:
    NaN there must be noticed. At the interface nothing is written over.
    """
    if subject.reached:
        return
    prompt, outside = subject.draw(tokens, seed=0), list[int]()

    def note(call: AttentionCall) -> None:
        if call.offered is None:
            outside.append(call.index)

    with capture(subject.model, note):
        subject.run("plain", prompt, prompt[:, :0])
    for index in outside:

        def spoil(call: AttentionCall, index: int = index) -> None:
            if call.index == index:
                call.output.fill_(torch.nan)

        with capture(subject.model, spoil):
            logits = subject.run("plain", prompt, prompt[:, :0])
        if not bool(logits.isnan().any()):
            name = type(subject.model).__name__
            raise CaptureError(
                f"The masks of {name} cannot be exchanged: what is written is not read."
            )
    subject.reached = True
