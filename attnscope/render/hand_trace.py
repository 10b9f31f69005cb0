"""One query of one head, computed in the open: dot products, scores, mask, softmax, output."""

from __future__ import annotations

import torch
from jaxtyping import Float
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from attnscope.records import HandTrace, Tokens
from attnscope.render.grid import label_at
from attnscope.render.key_table import key_table, number
from attnscope.render.palette import BAD, QUIET, STRONG, Fitted, Look, counted, percent

LABEL = 16
"""Terminal cells of the words before a line's numbers."""
NUMBERS = 8
"""Longer vectors are abridged."""
OUR_WORDS = frozenset({"and", "at", "itself", "looks", "most", "only", "over", "the", "to"})
"""Tokens that would be read as words of the summary."""


def hand_trace(hand: HandTrace, tokens: Tokens) -> RenderableType:
    """Every step from the query vector to the head's output, and a summary in words."""
    return Fitted(lambda width, look: _draw(hand, tokens, width, look))


def summary(hand: HandTrace, tokens: Tokens) -> str:
    """What the query looks at, as a sentence."""
    subject = _quoted(label_at(tokens, hand.query_index))
    if not bool(hand.allowed.any()):
        return f"{subject} sees no token at all: every key is blocked."
    weights = hand.weights.nan_to_num()
    strongest = _strongest(weights)
    together = float(weights[strongest].sum())
    if together < 0.3:
        reach = counted(int((weights > 0).sum()), "token")
        most = f"at most {percent(float(weights.max()))}".replace("at most <", "less than ")
        return f"{subject} spreads its weight over {reach}, {most} each; {_blocked(hand)}."
    names = [_name(hand, tokens, key) for key in strongest]
    verb = "looks mostly at" if together >= 0.5 else "gives most weight to"
    if len(names) == 1 and together > 0.995:
        verb = "looks only at"
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{subject} {verb} {listed}; {_blocked(hand)}."


def _draw(hand: HandTrace, tokens: Tokens, width: int, look: Look) -> RenderableType:
    tokens = look.read(tokens)
    query = label_at(tokens, hand.query_index)
    title = f"layer {hand.layer}, head {hand.head} · query {hand.query_index} "
    before = [_vector("query vector", hand.query, width, look), *_formulas(hand)]
    after = [
        ("denominator", _denominator(hand)),
        _vector("weighted values", hand.output, width, look),
        _vector("kernel's output", hand.kernel_output, width, look),
        ("largest gap", _gap(hand)),
    ]
    lines: list[RenderableType] = [
        Text.assemble((look.say(title), STRONG), (query, f"{STRONG} reverse")),
        _facts(before, look),
        Text(),
        *key_table(hand, tokens, width, look),
        Text(),
        _facts(after, look),
        Text(),
        Text(look.say(summary(hand, tokens)), style=STRONG),
    ]
    later = int(hand.allowed[hand.query_index + 1 :].sum())
    if later:
        words = f"{look.glyphs.bad} the mask leaves {counted(later, 'later token')} visible"
        lines.append(Text(look.say(words), style=BAD))
    return Group(*lines)


def _facts(facts: list[tuple[str, str]], look: Look) -> Table:
    """Names with their words; long words go on below themselves."""
    table = Table.grid()
    table.add_column(width=LABEL, no_wrap=True, style=QUIET)
    table.add_column(overflow="fold")
    for name, words in facts:
        table.add_row(Text(name), Text(look.say(words)))
    return table


def _vector(name: str, values: Float[Tensor, " d"], width: int, look: Look) -> tuple[str, str]:
    """A vector's first numbers, as many as fit, and how many there are."""
    words = [number(value) for value in values[:NUMBERS].tolist()]
    size = max((len(word) for word in words), default=1) + 2
    ending = f"  … {len(values):,} numbers"
    room = width - LABEL
    if len(values) <= NUMBERS and size * len(words) <= room:
        ending = ""
    else:
        words = words[: max((room - len(look.say(ending))) // size, 1)]
    line = "".join(word.rjust(size) for word in words)
    return name, line[2:] + ending


def _formulas(hand: HandTrace) -> list[tuple[str, str]]:
    product = f"dot × {hand.scale:.6g}"
    expected = hand.dots.double() * hand.scale
    if hand.softcap is not None:
        product = f"{hand.softcap:g} × tanh({product} / {hand.softcap:g})"
        expected = hand.softcap * torch.tanh(expected / hand.softcap)
    visible = hand.scaled.double()[hand.allowed]
    if not torch.allclose(expected[hand.allowed], visible, equal_nan=True):
        product += " + position bias"
    facts = [("dot", "query · key"), ("score", product)]
    if visible.numel():
        facts.append(("exp", f"exp(score − {number(float(visible.max()))}), the largest score"))
    return [*facts, ("weight", "exp / denominator")]


def _denominator(hand: HandTrace) -> str:
    if hand.sink is None:
        return f"{number(hand.denominator)}, the sum of all exp"
    keys = hand.denominator - hand.sink
    share = hand.sink / hand.denominator if hand.denominator else 0.0
    parts = f"{number(hand.denominator)} = {number(keys)} for the keys + {number(hand.sink)}"
    return f"{parts} for the sink, which takes {percent(share)} of the weight and gives no value"


def _gap(hand: HandTrace) -> str:
    gap = (hand.output.double() - hand.kernel_output.double()).abs()
    size = float(gap.max()) if gap.numel() else 0.0
    judged = "verified" if hand.verified else "NOT verified: see the proof"
    return f"{size:.1e} between the two outputs, {judged}" if size else f"0, {judged}"


def _strongest(weights: Float[Tensor, " key"]) -> list[int]:
    """The fewest keys, three at most, that hold six tenths of the weight."""
    chosen: list[int] = []
    for key in torch.argsort(weights, descending=True, stable=True).tolist()[:3]:
        if float(weights[key]) > 0.005 and float(weights[chosen].sum()) < 0.6:
            chosen.append(key)
    return chosen


def _name(hand: HandTrace, tokens: Tokens, key: int) -> str:
    share = percent(float(hand.weights[key]))
    if key == hand.query_index:
        return f"itself ({share})"
    label = label_at(tokens, key)
    name = _quoted(label)
    place = f" at {key}" if tokens.labels.count(label) > 1 else ""
    later = ", A LATER TOKEN" if key > hand.query_index else ""
    return f"{name}{place} ({share}{later})"


def _quoted(label: str) -> str:
    """The label as it can stand in a sentence without being read as part of it."""
    return label if label.isalnum() and label not in OUR_WORDS else f'"{label}"'


def _blocked(hand: HandTrace) -> str:
    closed = ~hand.allowed
    later = int(closed[hand.query_index + 1 :].sum())
    earlier = int(closed[: hand.query_index + 1].sum())
    if later:
        parts = [_are_blocked(later, "later token")]
    elif hand.query_index < len(closed) - 1:
        parts = ["no later token is blocked"]
    else:
        parts = ["there is no later token"]
    return ", ".join([*parts, _are_blocked(earlier, "earlier token")] if earlier else parts)


def _are_blocked(number: int, noun: str) -> str:
    return f"{counted(number, noun)} {'is' if number == 1 else 'are'} blocked"


if __name__ == "__main__":
    from rich.console import Console

    words = ("The", "cat", "sat")
    demo_tokens = Tokens(ids=(0, 1, 2), texts=words, labels=words, special=(False,) * 3)
    exponentials = torch.tensor([1.0, 0.2231, 0.0])
    demo_output = torch.tensor([0.5, 0.25])
    demo = HandTrace(
        layer=0, head=0, query_index=1, query=torch.tensor([1.0, 2.0]),
        dots=torch.tensor([3.0, 1.5, 4.0]), scale=1.0, softcap=None,
        scaled=torch.tensor([3.0, 1.5, 4.0]), allowed=torch.tensor([True, True, False]),
        exponentials=exponentials, sink=None, denominator=1.2231,
        weights=exponentials / 1.2231, output=demo_output, kernel_output=demo_output, verified=True,
        value_lengths=torch.ones(3),
    )  # fmt: skip
    Console().print(hand_trace(demo, demo_tokens))
