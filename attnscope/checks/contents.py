"""ATN305 to ATN307: tokens that must not matter."""

from __future__ import annotations

from attnscope.checks.base import Check, Verdict
from attnscope.checks.wording import at, counted, size, untold
from attnscope.records.evidence import Contents
from attnscope.report import Finding


class Unmoved(Check):
    """Shared by the checks on tokens that must not matter."""

    family, evidence = "influence", "contents"

    def judge(self, evidence: Contents) -> Verdict:
        """0.0 at every token in question."""
        if evidence.rounding:
            return Verdict(reason=f"rounding only: {evidence.rounding}")
        measured = float(evidence.drift.max())
        if measured == 0.0:
            return Verdict(reason=f"changing {evidence.what} moves nothing by a single bit")
        if evidence.untold:
            return untold(measured, evidence.place)
        query = int(evidence.drift.argmax())
        message = (
            f"Changing {evidence.what} moves position {query} by {size(measured)}:"
            f" {at(evidence.place)}."
        )
        finding = Finding(
            layer=evidence.place.layer, module=evidence.place.module, head=None, query=query,
            key=None, measured=measured, limit=0.0, message=message,
        )  # fmt: skip
        moved = int((evidence.drift > 0).sum())
        return Verdict(findings=(finding,), reason=f"{counted(moved, 'position')} moved")


class BatchRowsMix(Unmoved):
    """One row of a batch moves another.

    What it finds: anything that is computed over the rows of a batch together: a mask of one row
    used for all, statistics over the batch, expert capacity shared among rows.

    Why it matters: one user's text changes another user's answer, and evaluation depends on what
    else is in the batch.

    How it is measured: a batch of 2, in one pass and decoded; one row is changed and the other's
    logits are compared bit for bit. Rounding among experts is told from a leak as in ATN301.

    When it is wrong: never for a model without batch statistics.

    How to fix: look at the module named; reshapes that fold batch and time are usual suspects.
    """

    code, name = "ATN305", "batch-rows-mix"
    conditions = ("first_row", "second_row", "padded_row", "batched_decoding")
    quick = ("second_row",)


class PadContents(Unmoved):
    """What stands in the pads matters.

    What it finds: pads that are seen in spite of the attention_mask.

    Why it matters: results depend on the length of the longest text in the batch, and on which id
    pads have.

    How it is measured: the pads' ids are changed, nothing else, and the logits of the real tokens
    are compared bit for bit. (That padding moves positions is another matter, see ATN404.)

    When it is wrong: models that document the attention_mask as unused.

    How to fix: apply the attention_mask in every mixer: in the mask of attention, and as zeroed
    inputs of convolutions and state spaces.
    """

    code, name = "ATN306", "pad-contents"
    conditions = (
        "left_padding", "right_padding", "left_padded_decoding", "right_padded_decoding",
    )  # fmt: skip
    quick = ("left_padding", "right_padding")


class DocumentsMix(Unmoved):
    """One document of a packed row moves another.

    What it finds: packing that does not separate documents.

    Why it matters: the model is trained on, and evaluated with, context that it will not have.

    How it is measured: two documents in one row, told apart by position ids; the first one's tokens
    are changed and the second one's logits are compared bit for bit.

    When it is wrong: where the condition's promise does not hold; then it counts neither way.

    How to fix: see the condition's source; mixers that are no attention need sequence ids of their
    own.
    """

    code, name = "ATN307", "documents-mix"
    conditions = ("packed", "packed_cached")
