"""ATN1xx: what softmax gave."""

from __future__ import annotations

from collections.abc import Callable

from attnscope.checks.base import Check, Verdict
from attnscope.checks.wording import counted, size
from attnscope.records.evidence import CallReading, Readings
from attnscope.report import Finding

SINGLE_RUN = (
    "plain", "ones", "cache", "left_padding", "right_padding", "second_row", "padded_row", "packed",
)  # fmt: skip
"""Conditions in which one forward covers the whole row, so that its calls can be read."""


NO_ATTENTION = "no attention call was seen"


def over_calls(
    evidence: Readings,
    find: Callable[[CallReading], Finding | None],
    clean: str,
    doubt: Callable[[CallReading], str] = lambda call: "",
) -> Verdict:
    """Ask every call that could be read; findings first, then what could not be read.

    `doubt` says why a check cannot judge a call that others can.
    """
    problems = [
        f"{call.place.module}: {words}"
        for call in evidence.calls
        if (words := call.problem or doubt(call))
    ]
    readable = [call for call in evidence.calls if not (call.problem or doubt(call))]
    found = [finding for call in readable if (finding := find(call)) is not None]
    if found:
        worst = sorted(found, key=lambda finding: -finding.measured)
        words = f"{len(found)} of {counted(len(readable), 'call')}"
        return Verdict(findings=tuple(worst), reason=words)
    problems += evidence.unseen
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Verdict(reason=f"{problems[0]}{more}", skipped=True)
    if not readable:
        return Verdict(reason=NO_ATTENTION, skipped=evidence.heads > 0, beside_the_point=True)
    return Verdict(reason=clean.format(calls=counted(len(readable), "call")))


def _finding(
    call: CallReading, where: tuple[int | None, int, int | None], measured: float, message: str
) -> Finding:
    head, query, key = where
    return Finding(
        layer=call.place.layer, module=call.place.module, head=head, query=query, key=key,
        measured=measured, limit=0.0, message=message,
    )  # fmt: skip


class FutureWeight(Check):
    """A query gives weight to a later key.

    What it finds: attention weights above the diagonal, in any head, down to the smallest number
    that is not 0.

    Why it matters: whatever weight falls on the future makes training loss a lie and generation
    worse than the loss promises.

    How it is measured: weights are computed again in float64 from the query, key and mask that the
    kernel received; the recomputation must reproduce the kernel's own output (ATN104). Rows of pads
    and rows that may see nothing are left out.

    When it is wrong: layers that are bidirectional on purpose; say so with --expect.

    How to fix: the mask that this kernel receives leaves later keys open, or adds a number so small
    that a large score beats it; add the dtype's minimum or -inf.
    """

    code, name, family, evidence = "ATN101", "future-weight", "weights", "calls"
    conditions, quick = SINGLE_RUN, ("plain", "ones", "left_padding")

    def judge(self, evidence: Readings) -> Verdict:
        """0.0 above the diagonal in every call."""

        def find(call: CallReading) -> Finding | None:
            if call.future_at is None:
                return None
            message = (
                f"Query {call.future_at[1]} gives weight {size(call.future_weight)} to the later"
                f" key {call.future_at[2]}: {_mask_words(call)}."
            )
            return _finding(call, call.future_at, call.future_weight, message)

        return over_calls(evidence, find, "no weight on a later key in {calls}", _not_reproduced)


def _not_reproduced(call: CallReading) -> str:
    return "" if call.verified else "its output is not reproduced, so its weights are not known"


def _mask_words(call: CallReading) -> str:
    if call.ahead is None:
        return "its mask closes the cell, but its score beats the number that was added"
    return f"its mask leaves the cell open ({call.ahead.pattern or 'no known pattern'})"


class NotANumber(Check):
    """Attention of a real token is NaN.

    What it finds: rows of the attention output that are no numbers, for tokens that are not pads.

    Why it matters: one NaN row poisons every later layer and, in training, every weight.

    How it is measured: the kernel's own output at the tokens in question.

    When it is wrong: a model whose weights hold NaN fails here for another reason.

    How to fix: a row whose keys are all closed with -inf has no softmax; leave such rows one key,
    or zero their output.
    """

    code, name, family, evidence = "ATN102", "not-a-number", "weights", "calls"
    conditions, quick = SINGLE_RUN, ("plain", "left_padding")

    def judge(self, evidence: Readings) -> Verdict:
        """No NaN at a real query."""

        def find(call: CallReading) -> Finding | None:
            if call.nan_row is None:
                return None
            head, query = call.nan_row
            words = (
                "its mask closes every key" if call.blind_row else "its inputs or scores overflow"
            )
            return _finding(
                call, (head, query, None), 1.0, f"The output of query {query} is NaN: {words}."
            )

        return over_calls(evidence, find, "all outputs are numbers in {calls}")


class BlindRow(Check):
    """A real token may see no key at all, not even itself.

    What it finds: rows of the delivered mask that are closed everywhere, for tokens that are not
    pads.

    Why it matters: the softmax of such a row is NaN, or spreads over all keys, the later ones
    included.

    How it is measured: the mask that the kernel received, row by row.

    When it is wrong: kernels that define the output of such a row as 0; the token is still blind.

    How to fix: let every token see itself.
    """

    code, name, family, evidence = "ATN103", "blind-row", "weights", "calls"
    conditions, quick = SINGLE_RUN, ("plain", "left_padding")

    def judge(self, evidence: Readings) -> Verdict:
        """Every real query sees a key."""

        def find(call: CallReading) -> Finding | None:
            if call.blind_row is None:
                return None
            head, query = call.blind_row
            return _finding(
                call, (head, query, None), 1.0, f"The mask closes every key to query {query}."
            )

        return over_calls(evidence, find, "every query sees a key in {calls}")


class NotReproduced(Check):
    """The kernel did something else than its arguments say.

    What it finds: attention whose output cannot be reproduced in float64 from the query, key,
    value, mask and scale that the kernel received.

    Why it matters: then its weights are not known, and the witness of the weights is silent. It is
    no proof of a leak: influence (ATN3xx) decides that.

    How it is measured: recomputed and own output, row by row, against what rounding explains; see
    docs/architecture.md, "The limit".

    When it is wrong: kernels with a term that is not among their arguments; sparse kernels.

    How to fix: compare the kernel with plain softmax attention on the same arguments.
    """

    code, name, family, evidence = "ATN104", "not-reproduced", "weights", "calls"
    quick = ("plain",)

    def judge(self, evidence: Readings) -> Verdict:
        """Not reproduced means not checked, never clean."""
        doubtful = [one for one in evidence.calls if not one.problem and not one.verified]
        if doubtful:
            place = doubtful[0].place.module
            words = f"{counted(len(doubtful), 'call')} not reproduced, first in {place}"
            return Verdict(reason=words, skipped=True)
        return over_calls(evidence, lambda call: None, "{calls} reproduced in float64")


class RowSum(Check):
    """Weights do not sum to 1.

    What it finds: weights that the kernel returned whose rows, sinks counted in, do not sum to 1.

    Why it matters: masking after the softmax (multiplying by 0 and 1) leaves such rows, and later
    tokens then still shape the denominator: a leak that weights above the diagonal do not show.

    How it is measured: in float64, against twice the dtype's eps. A sum that is off counts where
    the call is otherwise reproduced, or where the weights are those of a softmax over every key,
    multiplied by the mask. Else it may be a design of its own, and is not checked. Only kernels
    that return weights can be asked.

    When it is wrong: kernels that drop weights on purpose (dropout on).

    How to fix: add the mask to the scores before the softmax instead of multiplying after it.
    """

    code, name, family, evidence = "ATN105", "row-sum", "weights", "calls"
    quick = ("plain",)

    def judge(self, evidence: Readings) -> Verdict:
        """Within rounding of 1."""
        unread = evidence.unseen or any(one.problem for one in evidence.calls)
        if evidence.calls and not unread and all(one.sum_gap is None for one in evidence.calls):
            return Verdict(reason="the kernel returns no weights", beside_the_point=True)

        def doubt(call: CallReading) -> str:
            if call.sum_gap is None:
                return "its kernel returns no weights"
            known = call.verified or call.multiplied or not _off(call)
            return "" if known else "rows do not sum to 1, perhaps by design"

        def find(call: CallReading) -> Finding | None:
            if call.sum_gap is None or not _off(call):
                return None
            why = (
                "they are a softmax over every key that was multiplied by the mask afterwards"
                if call.multiplied
                else "the cause is not known"
            )
            message = f"A row of weights misses 1 by {size(call.sum_gap)}: {why}."
            return Finding(
                layer=call.place.layer, module=call.place.module, head=None, query=None, key=None,
                measured=call.sum_gap, limit=call.sum_limit, message=message,
            )  # fmt: skip

        return over_calls(evidence, find, "rows sum to 1 in {calls}", doubt)


def _off(call: CallReading) -> bool:
    return call.sum_gap is not None and call.sum_gap > call.sum_limit
