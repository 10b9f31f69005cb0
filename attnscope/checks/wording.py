"""Sentences that several checks share."""

from __future__ import annotations

from attnscope.checks.base import Verdict
from attnscope.records.evidence import Cells, Place
from attnscope.report import Finding


def at(place: Place) -> str:
    """Where something enters, in words."""
    return f"enters at {place.module} ({place.kind})" if place.module else "enters at no one module"


def untold(measured: float, place: Place) -> Verdict:
    """As small as rounding, and no finer kernel: neither a pass nor a finding."""
    words = f"{size(measured)} moved ahead, as little as rounding does"
    return Verdict(reason=f"{words}, and no copy in float64 can tell ({at(place)})", skipped=True)


def size(value: float) -> str:
    """A measured size, short."""
    return f"{value:.2g}"


def counted(number: int, what: str) -> str:
    """`1 module`, `2 modules`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def of_cells(place: Place, cells: Cells, words: str, *, beside: bool = False) -> Finding:
    """The finding for cells of a delivered mask; `beside`: on keys that are none of the tokens."""
    pattern = f": {cells.pattern}" if cells.pattern else ""
    many = f"{cells.count:,} cells" if cells.count > 1 else "1 cell"
    return Finding(
        layer=place.layer,
        module=place.module,
        head=cells.head,
        query=cells.query,
        key=None if beside else cells.key,
        measured=float(cells.count),
        limit=0.0,
        message=f"{many} {words}{pattern}.",
    )
