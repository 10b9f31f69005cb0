"""What a head does, named from its statistics."""

from __future__ import annotations

from collections.abc import Mapping

from attnscope.records import HeadFocus, Role

PATTERNS: tuple[tuple[Role, str], ...] = (
    ("induction", "induction"),
    ("duplicate-token", "duplicate"),
    ("previous-token", "previous"),
    ("self", "self"),
    ("sink", "first"),
)
"""Roles with one exact target, and the statistic that scores them; the first wins a tie."""

CLEAR = 0.4
"""A pattern that takes this share of a head's weight names the head."""
LOCAL = 0.7
"""Share of weight on the nearest positions that makes a head local."""
BROAD = 0.7
"""Share of the largest possible entropy that makes a head broad."""


def role_of(means: Mapping[str, float | None]) -> tuple[Role, float]:
    """The role that fits best, and its score (0 to 1), from mean statistics by name."""
    scores = [(means.get(name) or 0.0, role) for role, name in PATTERNS]
    best, role = max(scores, key=lambda pair: pair[0])
    if best >= CLEAR:
        return role, best
    if (means.get("local") or 0.0) >= LOCAL:
        return "local", means["local"] or 0.0
    if (means.get("broad") or 0.0) >= BROAD:
        return "broad", means["broad"] or 0.0
    return "mixed", best


_TELLING: tuple[Role, ...] = (
    "broad", "mixed", "sink", "local", "self", "previous-token", "duplicate-token", "induction",
)  # fmt: skip


def telling(head: HeadFocus) -> tuple[float, ...]:
    """Sorts heads by how much there is to see: a leak first, then the rarer patterns."""
    if head.future_weight > 0:
        return (2.0, head.future_weight, 0.0)
    share = -head.broad if head.role in ("broad", "mixed") else head.role_score
    return (1.0, float(_TELLING.index(head.role)), share)


def reason(head: HeadFocus, among: str = "") -> str:
    """Why this head was chosen, in plain words; `among` says from which heads, if not from all."""
    if head.future_weight > 0:
        return f"it puts up to {head.future_weight:.3g} of a token's weight on the future"
    if head.role in {"broad", "mixed"}:
        return f"no head{among} shows a clear pattern; this one is the most focused"
    return f"the strongest {head.role} head{among} (score {head.role_score:.2f})"
