"""ATN4xx: the same tokens by the ways in which models are served."""

from __future__ import annotations

import math
from typing import ClassVar

from attnscope.checks.base import Check, Evidence, Verdict
from attnscope.checks.contents import Unmoved
from attnscope.checks.wording import counted, size
from attnscope.records.evidence import Agreement
from attnscope.report import Finding


class _Agreement(Check):
    """Shared by the checks that compare with the plain run."""

    family = "serving"
    evidence: ClassVar[Evidence] = "agreement"

    def judge(self, evidence: Agreement) -> Verdict:
        """Within what rounding explains, at every token; a float32 copy has the last word."""
        judged = evidence if evidence.finer is None else evidence.finer
        if judged.largest <= judged.limit and evidence.largest > evidence.limit:
            judged = judged if evidence.routed else evidence
        inside = "" if judged is evidence else " in float32"
        measured, query = judged.largest, int(judged.gap.argmax())
        limit = "bit equality is asked" if judged.limit == 0.0 else f"limit {size(judged.limit)}"
        words = f"largest difference {size(measured)}{inside}, {limit}"
        if evidence.finer is not None:
            words += f" ({size(evidence.largest)} and {size(evidence.limit)} as loaded)"
        if not math.isfinite(judged.limit):
            return Verdict(reason="rounding alone makes these logits infinite", skipped=True)
        if measured <= judged.limit:
            return Verdict(reason=words)
        explained = "nothing" if judged.limit == 0.0 else f"up to {size(judged.limit)}"
        message = (
            f"Position {query} differs by {size(measured)}{inside} from the plain run; rounding"
            f" explains {explained}."
        )
        finding = Finding(
            layer=None, module="", head=None, query=query, key=None,
            measured=measured, limit=judged.limit, message=message,
        )  # fmt: skip
        beyond = int((judged.gap > judged.limit).sum())
        return Verdict(findings=(finding,), reason=f"{counted(beyond, 'position')} differ")


class CacheDrift(_Agreement):
    """Decoding from the cache gives other logits than one pass.

    What it finds: cache entries that are misplaced, stale, rotated twice or masked wrongly;
    position ids that start again; windows that differ with and without a cache.

    Why it matters: this is how models are served. The loss is measured in one pass and says nothing
    about it.

    How it is measured: the same tokens, one or several a step, with and without explicit position
    ids, against the plain run. The limit is what rounding explains: the plain run is repeated with
    every innermost module's output stirred in its last bit, and 8 times the largest effect is
    allowed. In half precision rounding can hide a real difference, so a float32 copy of the model
    decides, as far as it fits into memory.

    When it is wrong: models whose rotary base depends on the length.

    How to fix: compare position ids and mask sizes of the two runs at the first token that differs.
    """

    code, name = "ATN401", "cache-drift"
    conditions = (
        "one_token", "one_token_positions", "several_tokens", "several_tokens_positions",
        "chunked_prefill",
    )  # fmt: skip


class CacheKindDrift(_Agreement):
    """A kind of cache gives other logits than one pass.

    What it finds: models that do not run with the caches that are served: full-length, sliding,
    static, offloaded.

    Why it matters: static caches hold empty slots that must be masked; sliding caches forget, and
    the mask must know.

    How it is measured: as ATN401, with each kind of cache.

    When it is wrong: as ATN401.

    How to fix: take mask sizes and offsets from the cache instead of the input's length.
    """

    code, name = "ATN402", "cache-kind-drift"
    conditions = ("full_length_cache", "sliding_cache", "static_cache", "offloaded_cache")


class CacheEdits(_Agreement):
    """A reordered or cropped cache gives other logits than one pass.

    What it finds: state that does not follow when beams are reordered, or that stays when rejected
    draft tokens are cropped.

    Why it matters: beam search and speculative decoding then continue somebody else's text.

    How it is measured: as ATN401, after the cache was reordered or cropped.

    When it is wrong: recurrent state cannot be cropped; such models never promised it.

    How to fix: keep everything that a layer remembers in the cache.
    """

    code, name = "ATN403", "cache-edits"
    conditions = ("reordered", "cropped")


class PaddingDrift(_Agreement):
    """Padding moves the logits of real tokens.

    What it finds: pads that shift positions, or that are seen.

    Why it matters: a text's result depends on the batch that it is in.

    How it is measured: as ATN401, with pads on either side, with the position ids that generate()
    makes where the model takes any.

    When it is wrong: models with learned absolute positions that take no position ids.

    How to fix: derive positions from the attention_mask when none are given.
    """

    code, name = "ATN404", "padding-drift"
    conditions = (
        "left_padding", "right_padding", "padded_row", "left_padded_decoding",
        "batched_decoding", "right_padded_decoding",
    )  # fmt: skip
    quick = ("left_padding", "right_padding")


class ModeDrift(_Agreement):
    """A switch that should change nothing changes the logits.

    What it finds: use_cache, output_attentions, a mask of ones or a batch of 2 that take another
    way through the model.

    Why it matters: asking for attention weights once dropped the causal mask (transformers pull
    request 30652); the switch that shows the leak may be the one that makes it.

    How it is measured: as ATN401, one switch at a time.

    When it is wrong: as ATN401.

    How to fix: compare the masks of the two runs (`attnscope trace`).
    """

    code, name = "ATN405", "mode-drift"
    conditions = ("ones", "cache", "attentions", "first_row", "second_row")
    quick = ("ones", "cache", "attentions")


class LeftoverState(_Agreement):
    """An earlier call changes a later one.

    What it finds: anything that a forward leaves behind: rotary bases, masks and caches kept for
    the longest input so far, running statistics.

    Why it matters: results depend on what was asked before.

    How it is measured: the plain run, a longer call on another text, and the plain run again, bit
    for bit.

    When it is wrong: never at equal shape.

    How to fix: reset what depends on the length when a shorter input comes.
    """

    code, name = "ATN406", "leftover-state"
    conditions = ("after_longer",)
    quick = ("after_longer",)


class LengthDependence(_Agreement):
    """What comes after a token changes its logits through the length alone.

    What it finds: dependence on how long the input is: expert capacity, normalisation over the
    sequence, rotary bases, leaks that a change of token does not show.

    Why it matters: in training a token's logits are computed with the whole text after it, in
    generation with nothing after it.

    How it is measured: each prefix is read alone and its last logits are compared with the plain
    run, as in ATN401.

    When it is wrong: rotary encodings that are stretched by length (dynamic, longrope) differ by
    design.

    How to fix: make whatever depends on the sequence's length depend on the position instead.
    """

    code, name = "ATN407", "length-dependence"
    conditions = ("alone",)


class PackingDrift(_Agreement):
    """A packed document gets other logits than the document alone.

    What it finds: documents that see each other, or positions that do not start again.

    Why it matters: packed training then optimises another model than the one that is served.

    How it is measured: as ATN401, with another document before this one in the row.

    When it is wrong: where the condition's promise does not hold; then it counts neither way.

    How to fix: see ATN307.
    """

    code, name = "ATN408", "packing-drift"
    conditions = ("packed", "packed_cached")


class DroppedContents(Unmoved):
    """Tokens that were dropped from the cache still matter.

    What it finds: rejected draft tokens or dropped beams that stay in some layer's state.

    Why it matters: the text that a user sees depends on text that was thrown away.

    How it is measured: those tokens are changed, and the logits that follow are compared bit for
    bit.

    When it is wrong: recurrent state cannot be cropped; such models never promised it.

    How to fix: see ATN403.
    """

    code, name, family = "ATN409", "dropped-contents", "serving"
    conditions = ("reordered", "cropped", "after_longer")
