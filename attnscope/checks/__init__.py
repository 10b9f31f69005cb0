"""The checks, in reading order: an explicit registry, one family a file."""

from __future__ import annotations

import difflib

from attnscope.checks import backends, contents, influence, mask, observer, serving, weights
from attnscope.checks.base import Check
from attnscope.errors import SelectionError

CHECKS: tuple[type[Check], ...] = (
    observer.RunsDisagree,
    observer.ObserverMoves,
    observer.NothingMoves,
    observer.SightTooShort,
    weights.FutureWeight,
    weights.NotANumber,
    weights.BlindRow,
    weights.NotReproduced,
    weights.RowSum,
    mask.MaskOpenAhead,
    mask.WindowTooWide,
    mask.MaskTooNarrow,
    mask.PaddingOpen,
    mask.DocumentsOpen,
    influence.FutureInfluence,
    influence.ModuleInfluence,
    influence.BeyondWindow,
    influence.Blindness,
    contents.BatchRowsMix,
    contents.PadContents,
    contents.DocumentsMix,
    serving.CacheDrift,
    serving.CacheKindDrift,
    serving.CacheEdits,
    serving.PaddingDrift,
    serving.ModeDrift,
    serving.LeftoverState,
    serving.LengthDependence,
    serving.PackingDrift,
    serving.DroppedContents,
    backends.BackendsDisagree,
)

__all__ = ["CHECKS", "Check", "find"]


def find(code: str) -> type[Check]:
    """The check with a code or a name, in any case.

    Raises SelectionError, with the nearest ones, when there is none.
    """
    wanted = code.strip().upper()
    for check in CHECKS:
        if wanted in {check.code, check.name.upper()}:
            return check
    known = {name.upper(): name for check in CHECKS for name in (check.code, check.name)}
    near = [known[one] for one in difflib.get_close_matches(wanted, known, n=3)] or [
        check.code for check in CHECKS[:3]
    ]
    raise SelectionError(
        f"There is no check {code[:40]!r}.", f"Near: {', '.join(near)}. See `attnscope checks`."
    )
