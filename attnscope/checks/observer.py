"""ATN0xx: is the instrument neutral, repeatable, and able to see? All others require it."""

from __future__ import annotations

import torch

from attnscope.checks.base import Check, Verdict
from attnscope.checks.influence import own_words, still_positions
from attnscope.checks.wording import at, size
from attnscope.records.evidence import Floor, Influence, Repeat
from attnscope.report import Finding


def _of_model(measured: float, message: str) -> Finding:
    return Finding(
        layer=None, module="", head=None, query=None, key=None,
        measured=measured, limit=0.0, message=message,
    )  # fmt: skip


class RunsDisagree(Check):
    """Two identical runs give different logits.

    What it finds: a model that carries state from one call to the next, so that the same tokens
    read twice are not read alike.

    Why it matters: every other check compares runs. And what an earlier request leaves behind
    leaks from one user's text into another's.

    How it is measured: the plain run twice, bit for bit. Where they differ, twice again with the
    same random state: if that makes them equal, chance is at work (dropout, sampling), and the
    model is not checked at all.

    When it is wrong: kernels that sum in no fixed order (some CUDA kernels) differ in the last
    bits without any state; use torch.use_deterministic_algorithms.

    How to fix: put the model into eval mode, or clear what its forward keeps between calls.
    """

    code, name, family, evidence = "ATN001", "runs-disagree", "observer", "repeat"
    quick, required = ("plain",), True

    def judge(self, evidence: Repeat) -> Verdict:
        """0.0 passes; chance is no finding but leaves nothing to check."""
        if evidence.repeats == 0.0:
            return Verdict(reason="two identical runs are bit-identical")
        if evidence.seeded == 0.0:
            words = f"runs differ by {size(evidence.repeats)} by chance: is dropout on?"
            return Verdict(reason=words, skipped=True)
        message = (
            f"Two identical runs differ by {size(evidence.repeats)} in their logits, with equal"
            " random state too: something is carried from call to call."
        )
        return Verdict(findings=(_of_model(evidence.repeats, message),))


class ObserverMoves(Check):
    """Watching the model changes what it computes.

    What it finds: a model, or a version of transformers, with which our own instrument is not
    neutral.

    Why it matters: an instrument that changes the model judges another model. In 2024 asking for
    attention weights under sdpa dropped the causal mask in transformers (pull request 30652).

    How it is measured: an observed and an unobserved plain run, bit for bit.

    When it is wrong: never for a model that repeats itself (ATN001); please report it.

    How to fix: this is ours to fix; run with the library versions named in the README meanwhile.
    """

    code, name, family, evidence = "ATN002", "observer-moves", "observer", "repeat"
    quick, required = ("plain",), True

    def judge(self, evidence: Repeat) -> Verdict:
        """Anything but 0.0 leaves nothing to check."""
        if evidence.neutral == 0.0:
            return Verdict(reason="observed and unobserved runs are bit-identical")
        words = f"observing moves the logits by {size(evidence.neutral)}"
        return Verdict(reason=words, skipped=True)


class NothingMoves(Check):
    """Changing a token changes nothing that could be seen.

    What it finds: a model through which no influence can be seen: weights too small, or logits
    that do not depend on the tokens.

    Why it matters: in such a model every leak passes. A fresh initialisation is often like this.

    How it is measured: each swapped position must move its own logits, and at least one swap must
    move a later position. In a model of your own, which may shift its inputs, a position must move
    its own output or a later one, but for the last ones.

    When it is wrong: a model whose tokens really do not look at each other (a bigram model) has
    nothing to check either.

    How to fix: verify a trained checkpoint, or use --weights random, which draws weights at a scale
    at which every position moves.
    """

    code, name, family, evidence = "ATN003", "nothing-moves", "observer", "sweep"
    quick, required = ("plain",), True

    def judge(self, evidence: Influence) -> Verdict:
        """Every position moves itself, some position moves a later one."""
        rows = torch.arange(evidence.drift.shape[0])[:, None]
        swapped = torch.tensor(evidence.swapped)
        if still := still_positions(evidence):
            words = f"{len(still)} of {len(swapped)} swapped positions do not move"
            reason = f"{words} {own_words(evidence)}: nothing can be seen"
            return Verdict(reason=reason, skipped=True)
        if len(rows) < 2:
            return Verdict(reason="a single token has no later one to move", skipped=True)
        later = evidence.drift * (rows > swapped)
        if not (later > 0).any():
            return Verdict(reason="no swap moves a later position", skipped=True)
        words = f"all {len(swapped)} swapped positions move {own_words(evidence)}"
        return Verdict(reason=words if evidence.own_or_later else f"{words}, and later ones")


class SightTooShort(Check):
    """A planted leak is not seen.

    What it finds: an instrument that is blind in this model: a leak of full weight, planted into
    the last module that mixes positions, moves nothing.

    Why it matters: a check that cannot fail proves nothing. The smallest weight that was seen is
    the floor under every clean verdict, and it is printed.

    How it is measured: one cell of one head is given a weight, from 1 down to 1e-12, behind the
    mask, and that module is replayed with the seen key changed. (Where no module is given a row a
    token, the leak is planted straight into the logits.) In bfloat16 weights below about
    1e-3 vanish in rounding.

    When it is wrong: in models without any token mixing.

    How to fix: use --dtype float32 to see smaller leaks.
    """

    code, name, family, evidence = "ATN004", "sight-too-short", "observer", "floor"
    quick, required = ("plain",), True

    def judge(self, evidence: Floor) -> Verdict:
        """Some weight must be seen."""
        if evidence.weight is None:
            return Verdict(reason="no planted leak could be seen", skipped=True)
        words = f"a weight of {size(evidence.weight)} in one cell is seen in {evidence.dtype}"
        return Verdict(reason=f"{words} ({at(evidence.place).removeprefix('enters ')})")
