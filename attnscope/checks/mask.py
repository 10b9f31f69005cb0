"""ATN2xx: the delivered mask against the declared one."""

from __future__ import annotations

from attnscope.checks.base import Check, Verdict
from attnscope.checks.weights import SINGLE_RUN, over_calls
from attnscope.checks.wording import of_cells
from attnscope.records.evidence import CallReading, Readings
from attnscope.report import Finding


class MaskOpenAhead(Check):
    """The delivered mask leaves later keys open.

    What it finds: a causal mask that was dropped, inverted, shifted by one, or open in single
    cells, in what the kernel was really handed.

    Why it matters: it is the classical leak, and it may be there on one backend only, in one layer
    only, or only once a mask or a cache is passed.

    How it is measured: the inner call's mask argument (`is_causal`, boolean, additive, BlockMask),
    cell by cell, against the declared visibility. An additive term at or below -9000 counts as
    closed.

    When it is wrong: layers that are bidirectional on purpose; say so with --expect.

    How to fix: look at where this layer's mask is built, for the condition named; "dropped" is
    often a None that one backend reads as causal and another as everything.
    """

    code, name, family, evidence = "ATN201", "mask-open-ahead", "mask", "calls"
    conditions, quick = SINGLE_RUN, ("plain", "ones", "left_padding")

    def judge(self, evidence: Readings) -> Verdict:
        """No open cell on a later key."""

        def find(call: CallReading) -> Finding | None:
            if call.ahead is None:
                return None
            return of_cells(call.place, call.ahead, "of the delivered mask are open on later keys")

        return over_calls(evidence, find, "no later key open in {calls}")


class WindowTooWide(Check):
    """The delivered mask is open beyond the layer's window or chunk.

    What it finds: a window or chunk that is missing in a layer, or one token too wide.

    Why it matters: the model attends where it was never trained to, from the window's length on,
    and a cache that forgets what the window has passed gives other numbers than a full pass.

    How it is measured: as ATN201, on keys before the query, against the window or chunk that the
    config declares for the layer.

    When it is wrong: a config whose window field is not meant for this layer.

    How to fix: pass the layer's own window to the mask that it gets.
    """

    code, name, family, evidence = "ATN202", "window-too-wide", "mask", "calls"
    conditions, quick = SINGLE_RUN, ("plain", "ones")

    def judge(self, evidence: Readings) -> Verdict:
        """No open cell beyond the window."""
        short = any(call.out_of_reach for call in evidence.calls)
        if short and not any(call.beyond for call in evidence.calls):
            words = "too few tokens to look beyond the window: give a larger --length"
            return Verdict(reason=words, skipped=True)

        def find(call: CallReading) -> Finding | None:
            if call.beyond is None:
                return None
            words = "of the delivered mask are open beyond what the layer may see"
            return of_cells(call.place, call.beyond, words)

        return over_calls(evidence, find, "no cell open beyond the declared in {calls}")


class MaskTooNarrow(Check):
    """The delivered mask closes what the layer should see.

    What it finds: tokens that are blind to visible ones: a window one token too narrow, a mask
    built for another length, single closed cells.

    Why it matters: the model silently loses context that it was trained with. An off-by-one window
    is one of the commonest real bugs.

    How it is measured: as ATN201, for cells that are declared visible and are closed.

    When it is wrong: layers that pick keys by design (sparse attention); they are not declared
    exactly, and left out.

    How to fix: a window of W holds the query's own position and W - 1 before it.
    """

    code, name, family, evidence = "ATN203", "mask-too-narrow", "mask", "calls"
    conditions, quick = SINGLE_RUN, ("plain", "ones")

    def judge(self, evidence: Readings) -> Verdict:
        """Everything declared visible is open."""

        def find(call: CallReading) -> Finding | None:
            if call.missing is None:
                return None
            words = "that are declared visible are closed in the delivered mask"
            return of_cells(call.place, call.missing, words)

        return over_calls(evidence, find, "all declared cells open in {calls}")


class PaddingOpen(Check):
    """The delivered mask leaves pads open.

    What it finds: an attention_mask that does not reach the kernel, or reaches it shifted.

    Why it matters: results then depend on how long the other texts of a batch are.

    How it is measured: as ATN201, for keys that the attention_mask says are pads, in the rows of
    real tokens. Pads after the tokens are closed by causality already.

    When it is wrong: models that document the attention_mask as unused.

    How to fix: combine the attention_mask with the causal mask before the kernel is called.
    """

    code, name, family, evidence = "ATN204", "padding-open", "mask", "calls"
    conditions = ("left_padding", "right_padding", "padded_row")
    quick = ("left_padding",)

    def judge(self, evidence: Readings) -> Verdict:
        """No real query sees a pad."""

        def find(call: CallReading) -> Finding | None:
            if call.padding is None:
                return None
            words = "of the delivered mask are open on pads"
            return of_cells(call.place, call.padding, words, beside=True)

        return over_calls(evidence, find, "no pad open in {calls}")


class DocumentsOpen(Check):
    """The delivered mask leaves other documents of a packed row open.

    What it finds: packed training in which a document attends to the one before it.

    Why it matters: the model learns from text that it will not have.

    How it is measured: as ATN201, for keys of the other document.

    When it is wrong: where the promise does not hold, see the condition's source below.

    How to fix: pass position ids that start again in each document, no mask and use_cache=False, or
    build a block-diagonal mask.
    """

    code, name, family, evidence = "ATN205", "documents-open", "mask", "calls"
    conditions = ("packed", "packed_cached")

    def judge(self, evidence: Readings) -> Verdict:
        """No query sees another document."""

        def find(call: CallReading) -> Finding | None:
            if call.documents is None:
                return None
            words = "of the delivered mask are open on the other document"
            return of_cells(call.place, call.documents, words, beside=True)

        return over_calls(evidence, find, "no cell open on another document in {calls}")
