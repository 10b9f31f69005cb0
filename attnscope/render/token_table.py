"""Which tokens receive most attention, equal ones together, the first of a window apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor

from attnscope.records import Heads
from attnscope.render.hanging import hanging
from attnscope.render.palette import CAUTION, QUIET, STRONG, Fitted, Look, counted, percent
from attnscope.text import fit, pad

LONGEST = 32
"""Terminal cells of a token."""
HEADINGS = ("times", "share", "each")
EACH = (
    "share: of all weight; each: what one occurrence receives from all queries together, where one"
    " query gives 1 in all (a mean over layers and heads)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenShare:
    """The attention that all occurrences of one token receive."""

    text: str | None
    """As it is; None for the first positions of the windows, whatever stands there."""
    label: str
    """Safe to print."""
    count: int
    """Occurrences; those that start a window are counted with the first positions only."""
    share: float
    """Of the weight that all tokens receive, 0 to 1."""
    each: float
    """Weight that one occurrence receives, summed over queries, a mean over layers and heads."""


def token_shares(heads: Heads) -> tuple[TokenShare, ...]:
    """Every distinct token, the one that receives most first; none where nothing was received."""
    weight = mean_received(heads)
    total = float(weight.sum())
    if not total > 0:
        return ()
    firsts = {first for first, _ in heads.windows}
    groups: dict[str | None, list[int]] = {}
    for place, text in enumerate(heads.tokens.texts):
        groups.setdefault(None if place in firsts else text, []).append(place)
    shares = []
    for token, places in groups.items():
        received = float(weight[places].sum())
        shares.append(
            TokenShare(
                text=token,
                label=_first(heads) if token is None else heads.tokens.labels[places[0]],
                count=len(places),
                share=received / total,
                each=received / len(places),
            )
        )
    return tuple(sorted(shares, key=lambda one: -one.share))


def mean_received(heads: Heads) -> Float[Tensor, " token"]:
    """Weight that each token receives, a mean over layers; what is no number counts as none."""
    if not heads.layers:
        return torch.zeros(len(heads.tokens), dtype=torch.float64)
    return heads.received.double().nan_to_num(0.0, 0.0, 0.0).mean(dim=0)


def token_table(heads: Heads, top: int) -> RenderableType:
    """The `top` tokens that receive most, one row each."""
    return Fitted(lambda width, look: Group(*_draw(heads, top, width, look)))


def _first(heads: Heads) -> str:
    if len(heads.windows) > 1:
        return "(the first of each window)"
    return f"{heads.tokens.labels[0]} (0, the first)"


def _draw(heads: Heads, top: int, width: int, look: Look) -> list[Text]:
    shares = token_shares(heads)
    if not shares:
        return [Text(look.say("No received weight was measured."), style=CAUTION)]
    shown = shares[:top]
    cells = [
        (f"{one.count:,}", percent(one.share), f"{one.each:,.2f}" if one.each >= 0.005 else "<.01")
        for one in shown
    ]
    sizes = [
        max(len(heading), *(len(row[column]) for row in cells)) + 2
        for column, heading in enumerate(HEADINGS)
    ]
    alike = Counter(one.label for one in shares)
    labels = [look.spell(_told(one, alike[one.label] > 1)) for one in shown]
    size = min(max(map(cell_len, labels)), LONGEST, max(width - sum(sizes), 5))
    heading = "".join(title.rjust(each) for title, each in zip(HEADINGS, sizes, strict=True))
    lines = [Text(pad("token", size) + heading, style=QUIET)]
    for label, one, row in zip(labels, shown, cells, strict=True):
        name = pad(fit(label, size, look.glyphs.ellipsis), size)
        line = Text(name, style=STRONG if one.text is None else "")
        for cell, each in zip(row, sizes, strict=True):
            line.append(cell.rjust(each), style="not bold")
        lines.append(line)
    rest = shares[top:]
    if rest:
        words = f"… {counted(len(rest), 'other token')}, {percent(sum(one.share for one in rest))}"
        lines.append(Text(look.say(words), style=QUIET))
    return [*lines, *hanging(Text(), look.say(EACH), width, QUIET)]


def _told(one: TokenShare, alike: bool) -> str:
    """The label; with its leading space where another token has the same one."""
    spaced = alike and one.text is not None and one.text.startswith(" ")
    return f"␣{one.label}" if spaced else one.label


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import heads as demo

    Console().print(token_table(demo(), 10))
