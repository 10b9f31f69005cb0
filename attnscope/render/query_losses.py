"""What each query loses to a mask: keys, their weight, and how far its output moves."""

from __future__ import annotations

from math import isfinite

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import HeadComparison, Tokens
from attnscope.render.grid import label_at
from attnscope.render.hanging import hanging
from attnscope.render.key_table import number
from attnscope.render.palette import QUIET, STRONG, Fitted, Look, counted, percent
from attnscope.text import fit, pad

ALL = 24
"""Up to this many queries are all shown; of more, those whose output moves most."""
NAME = 10
NUMBERS = 8
"""Outputs with more dimensions than this are not told one by one."""


def query_losses(head: HeadComparison, tokens: Tokens) -> RenderableType:
    """One row a query, then the dimensions that are gone."""
    return Fitted(lambda width, look: Group(*_draw(head, tokens, width, look)))


def _draw(head: HeadComparison, tokens: Tokens, width: int, look: Look) -> list[Text]:
    tokens = look.read(tokens)
    queries = range(len(head.moved))
    places = list(queries)
    if len(places) > ALL:
        places = sorted(sorted(queries, key=lambda one: -float(head.moved[one]))[:ALL])
    sides = [
        (title, counts, weights)
        for title, counts, weights in (
            ("hidden", head.hidden, head.hidden_weight),
            ("shown", head.shown, head.shown_weight),
        )
        if int(counts.sum())
    ]
    digits = len(str(places[-1]))
    heading = f"{'':{digits}} {pad('query', NAME)}"
    for title, _, _ in sides:
        heading += f"{title:>7}{'weight':>7}"
    lines = [Text(f"{heading}  moves", style=QUIET)]
    for place in places:
        name = pad(fit(label_at(tokens, place), NAME - 1, look.glyphs.ellipsis), NAME)
        line = Text.assemble((f"{place:>{digits}} ", QUIET), name)
        for _, counts, weights in sides:
            line.append(f"{int(counts[place]):>7}{percent(float(weights[place])):>7}")
        moved = float(head.moved[place])
        line.append(f"{percent(moved) if isfinite(moved) else '?':>7}")
        lines.append(line)
    if len(places) < len(queries):
        rest = counted(len(queries) - len(places), "more query").replace("querys", "queries")
        lines.append(Text(look.say(f"… {rest}, whose output moves less"), style=QUIET))
    lines += [Text(), *_explained([title for title, _, _ in sides], width, look)]
    return [*lines, *_gone(head, tokens, width, look)]


def _explained(titles: list[str], width: int, look: Look) -> list[Text]:
    meanings = {
        "hidden": "hidden: keys that the model's own mask takes away, and the weight that they"
        " would have",
        "shown": "shown: keys that only its own mask shows, and the weight that they have",
    }
    told = [meanings[title] for title in titles]
    told.append("moves: length of the difference between both outputs over that of the other one")
    return [line for words in told for line in hanging(Text(), look.say(words), width, QUIET)]


def _gone(head: HeadComparison, tokens: Tokens, width: int, look: Look) -> list[Text]:
    if head.lost.shape[1] > NUMBERS or not bool(head.lost.any()):
        return []
    lines = [Text()]
    for query, lost in enumerate(head.lost):
        dimensions = lost.nonzero().flatten().tolist()
        if not dimensions:
            continue
        named = [str(one) for one in dimensions]
        values = [number(float(head.other_output[query, one])) for one in dimensions]
        words = f"loses dimension{'s' * (len(named) > 1)} {_listed(named)}"
        words += f" ({_listed(values)} without its own mask)"
        lead = Text(f"{label_at(tokens, query)} ", style=STRONG)
        lines += hanging(lead, look.say(words), width)
    return lines


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


if __name__ == "__main__":
    import torch
    from rich.console import Console

    from attnscope.records import HeadView

    half = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).double()
    view = HeadView(
        layer=0, head=0, reason="", verified=True, difference=0.0, weights=half,
        future=half > 1, pool=1,
    )  # fmt: skip
    demo = HeadComparison(
        own=view, other=view, difference=half - half, own_output=half, other_output=half,
        hidden=torch.tensor([1, 0]), hidden_weight=torch.tensor([0.5, 0.0]),
        shown=torch.tensor([0, 0]), shown_weight=torch.tensor([0.0, 0.0]),
        moved=torch.tensor([0.7, 0.0]), lost=torch.tensor([[False, True], [False, False]]),
    )  # fmt: skip
    words = ("The", "cat")
    Console().print(
        query_losses(demo, Tokens(ids=(0, 1), texts=words, labels=words, special=(False,) * 2))
    )
