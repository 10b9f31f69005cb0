"""ATN3xx: what really happens when a token changes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from attnscope.checks.base import Check, Verdict
from attnscope.checks.wording import at, counted, size, untold
from attnscope.records.evidence import Influence, Modules
from attnscope.report import Finding


def worst(values: Tensor) -> tuple[float, int, int]:
    """The largest value of a map with its row and column."""
    row, column = divmod(int(values.argmax()), values.shape[1])
    return float(values[row, column]), row, column


def still_positions(one: Influence) -> list[int]:
    """The swapped positions whose own output did not move.

    With `own_or_later`: that moved nothing from there on, but for the last ones in a row.
    """
    rows, swapped = torch.arange(one.drift.shape[0])[:, None], torch.tensor(one.swapped)
    looked_at = rows >= swapped if one.own_or_later else rows == swapped
    moved = (one.drift.masked_fill(~looked_at, 0.0) > 0).any(dim=0).tolist()
    if one.own_or_later and any(moved):
        moved = moved[: len(moved) - moved[::-1].index(True)]
    return [place for place, seen in zip(one.swapped, moved, strict=False) if not seen]


def own_words(one: Influence) -> str:
    """What a swapped position must move."""
    return "their own outputs or later ones" if one.own_or_later else "their own logits"


def _forbidden(one: Influence) -> Tensor:
    return one.drift.masked_fill(one.allowed, 0.0)


def _swept(one: Influence) -> str:
    tokens, count = one.drift.shape[0], len(one.swapped)
    every = f"all {tokens} positions" if count == tokens else f"a sample of {count} of {tokens}"
    return f"{every} swapped"


def _finding(one: Influence, words: str) -> Finding:
    measured, query, column = worst(_forbidden(one))
    key = one.swapped[column]
    message = f"Changing token {key} moves position {query} by {size(measured)}: {words}."
    return Finding(
        layer=one.place.layer, module=one.place.module, head=None, query=query, key=key,
        measured=measured, limit=0.0, message=message,
    )  # fmt: skip


class FutureInfluence(Check):
    """A later token moves an earlier position.

    What it finds: any way in which the future reaches the past: masks, convolutions padded on the
    wrong side, state spaces, expert choice, statistics over the sequence, state between calls.

    Why it matters: it is the definition of a causal model, and it needs no attention weights.

    How it is measured: each token in turn is changed at equal shape, and logits are compared bit
    for bit; in a clean model earlier ones move by exactly 0.0. Where experts are batched by how
    many tokens chose them, last bits move in clean models too: then it is measured again with each
    token's experts computed apart, or the module is replayed in float64; rounding vanishes there, a
    leak stays. So is drift as small as rounding in a model of your own, which may take Fourier
    transforms over time: they round across all positions. The module where it enters is the first
    whose output moved where nothing that it was given had moved.

    When it is wrong: models that are bidirectional on purpose; say so with --expect.

    How to fix: look at the module named, in the condition named.
    """

    code, name, family, evidence = "ATN301", "future-influence", "influence", "sweep"
    conditions = (
        "plain", "ones", "cache", "attentions", "left_padding", "right_padding", "first_row",
        "second_row", "padded_row", "packed", "several_tokens", "several_tokens_positions",
        "chunked_prefill", "static_cache",
    )  # fmt: skip
    quick, required = ("plain",), True

    def judge(self, evidence: Influence) -> Verdict:
        """0.0 wherever the declared visibility allows no influence."""
        if evidence.rounding:
            return Verdict(reason=f"{_swept(evidence)}; rounding only: {evidence.rounding}")
        moved = (_forbidden(evidence) > 0).sum()
        if evidence.untold:
            return untold(float(_forbidden(evidence).max()), evidence.place)
        if moved:
            words = f"{_swept(evidence)}: {int(moved):,} pairs moved that must not"
            return Verdict(findings=(_finding(evidence, at(evidence.place)),), reason=words)
        if still := still_positions(evidence):  # logits that are all NaN stand still too
            words = f"{counted(len(still), 'swapped position')} did not move {own_words(evidence)}"
            return Verdict(reason=f"{words}, first {still[0]}: nothing can be seen", skipped=True)
        cells = int((~evidence.allowed).sum())
        return Verdict(reason=f"{_swept(evidence)}: {cells:,} pairs, none moved by a single bit")


class ModuleInfluence(Check):
    """A module lets a later position move an earlier one.

    What it finds: the modules that leak on their own, each of them, however small the leak is by
    the time it reaches the logits.

    Why it matters: in half precision a small leak can drown before the logits; here it is measured
    where it enters.

    How it is measured: every child module of every layer is replayed on its recorded inputs, with
    one position changed at a time; what moves that may not is measured again in float64 on a copy
    of the module, where rounding vanishes. Of nested modules the innermost is named.

    When it is wrong: as ATN301.

    How to fix: look at the module named.
    """

    code, name, family, evidence = "ATN302", "module-influence", "influence", "modules"
    quick = ("plain",)

    def judge(self, evidence: Modules) -> Verdict:
        """0.0 on later positions, module by module."""
        rounding = [one for one in evidence.maps if one.rounding]
        found = []
        for one in evidence.maps:
            ahead = _forbidden(one) * _later(one)
            if not one.rounding and not one.untold and (ahead > 0).any():
                found.append(_finding(_only(one, _later(one)), at(one.place)))
        if found:
            return Verdict(findings=tuple(found), reason=counted(len(found), "module"))
        for one in evidence.maps:
            if one.untold:
                return untold(float(_forbidden(one).max()), one.place)
        if gap := _gap(evidence):
            return gap
        more = f"; rounding only in {len(rounding)}" if rounding else ""
        words = f"{counted(len(evidence.maps), 'module')} replayed in the plain run"
        return Verdict(reason=f"{words}, {_swept(evidence.maps[0])}, none looks ahead{more}")


class BeyondWindow(Check):
    """A module sees beyond its window or chunk.

    What it finds: layers whose window or chunk is missing or too wide, whatever their mask says.

    Why it matters: a kernel may ignore the window that it is offered.

    How it is measured: the replay of ATN302, for attention in layers with a declared window or
    chunk, on positions before it.

    When it is wrong: a config whose window field is not meant for this layer.

    How to fix: pass the window to the kernel, or put it into the mask.
    """

    code, name, family, evidence = "ATN303", "beyond-window", "influence", "modules"
    quick = ("plain",)

    def judge(self, evidence: Modules) -> Verdict:
        """0.0 beyond the declared window."""
        narrow = [one for one in evidence.maps if one.beyond]
        found = []
        for one in narrow:
            behind = _forbidden(one) * ~_later(one)
            if not one.rounding and (behind > 0).any():
                words = f"beyond what the layer may see, {at(one.place)}"
                found.append(_finding(_only(one, ~_later(one)), words))
        if found:
            return Verdict(findings=tuple(found), reason=counted(len(found), "module"))
        if gap := _gap(evidence):
            return gap
        if not narrow:
            return Verdict(reason="no layer has a window or a chunk", beside_the_point=True)
        if all(bool(one.allowed[_pairs(one)].all()) for one in narrow):
            words = "too few tokens to look beyond the window: give a larger --length"
            return Verdict(reason=words, skipped=True)
        return Verdict(
            reason=f"{counted(len(narrow), 'module')} replayed, none sees beyond its window"
        )


class Blindness(Check):
    """A module is blind to positions that it is declared to see.

    What it finds: distances at which no query sees a key, keys that no query sees, and queries that
    see nothing but themselves, in attention that is declared to see them.

    Why it matters: seeing too little passes every leak test, and costs quality in silence.

    How it is measured: the replay of ATN302, repeated in float64 where something stood still, so
    that small weights do not drown. Single blind cells are ATN203's to find.

    When it is wrong: an extremely peaked head layout, in which all heads give a key less than
    1e-16.

    How to fix: a window of W holds the query's own position and W - 1 before it.
    """

    code, name, family, evidence = "ATN304", "blindness", "influence", "modules"
    quick = ("plain",)

    def judge(self, evidence: Modules) -> Verdict:
        """Each distance, key and query in sight moves something."""
        if evidence.undeclared:
            words = "nothing says how far a layer must see (an expectation would)"
            return Verdict(reason=words, beside_the_point=True)
        judged = [one for one in evidence.maps if one.expected.any()]
        sure = [one for one in judged if not one.undecided]
        found = [finding for one in sure if (finding := _blind(one)) is not None]
        if found:
            return Verdict(findings=tuple(found), reason=counted(len(found), "module"))
        if gap := _gap(evidence):
            return gap
        undecided = [one.place.module for one in judged if one.undecided]
        if undecided:
            words = f"{undecided[0]} cannot be replayed in float64, where small weights show"
            return Verdict(reason=words, skipped=True)
        if not judged:
            words = "no replayed attention is declared to see all of its keys"
            return Verdict(reason=words, skipped=True)
        return Verdict(reason=f"every distance is seen in {counted(len(judged), 'module')}")


def _gap(evidence: Modules) -> Verdict | None:
    """What could not be replayed was not checked."""
    if evidence.unreplayed:
        first, count = evidence.unreplayed[0], len(evidence.unreplayed)
        words = f"{counted(count, 'module')} cannot be replayed, first {first}"
        return Verdict(reason=words, skipped=True)
    if not evidence.maps:
        return Verdict(reason="no module could be replayed", skipped=True)
    return None


def _steps(step: int) -> str:
    if step == 0:
        return "at its own position"
    side = "before" if step > 0 else "after"
    return f"{abs(step)} position{'s' * (abs(step) > 1)} {side} it"


def _rows(one: Influence) -> Tensor:
    return torch.arange(one.drift.shape[0])[:, None]


def _later(one: Influence) -> Tensor:
    """True where the swapped position comes after the one that moved."""
    return torch.tensor(one.swapped) > _rows(one)


def _pairs(one: Influence) -> Tensor:
    return ~_later(one)


def _only(one: Influence, where: Tensor) -> Influence:
    return replace(one, drift=one.drift.masked_fill(~where, 0.0))


def _blind(one: Influence) -> Finding | None:
    """The first distance, key or query that is declared visible and never moves anything."""
    moved, expected = one.drift > 0, one.expected
    distance = _rows(one) - torch.tensor(one.swapped)
    for step in torch.unique(distance[expected]).tolist():
        at_step = expected & (distance == step)
        if not (moved & at_step).any():
            return _blind_finding(one, at_step, f"no query sees the key {_steps(step)}")
    for column, key in enumerate(one.swapped):
        later = expected[:, column].clone()
        later[key] = False
        if later.sum() > 1 and not (moved[:, column] & later).any():
            mask = torch.zeros_like(expected)
            mask[:, column] = later
            return _blind_finding(one, mask, f"no query sees key {key}")
    others = expected & (distance != 0)
    for query in (others.sum(dim=1) > 1).nonzero().flatten().tolist():
        if not (moved[query] & others[query]).any():
            mask = torch.zeros_like(expected)
            mask[query] = others[query]
            return _blind_finding(one, mask, f"query {query} sees nothing but itself")
    return None


def _blind_finding(one: Influence, where: Tensor, words: str) -> Finding:
    query, column = (int(index) for index in where.nonzero()[0])
    return Finding(
        layer=one.place.layer, module=one.place.module, head=None, query=query,
        key=one.swapped[column], measured=0.0, limit=0.0,
        message=f"Blind to what it may see: {words}.",
    )  # fmt: skip
