"""The page that `attnscope compare` prints."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import Comparison, HeadComparison, Tokens
from attnscope.render.caveat import caveat
from attnscope.render.columns import columns
from attnscope.render.difference_map import difference_map
from attnscope.render.header import header
from attnscope.render.heatmap import heatmaps
from attnscope.render.losses import losses
from attnscope.render.page import remark, rule
from attnscope.render.palette import CAUTION, Fitted, Look
from attnscope.render.query_losses import query_losses
from attnscope.render.vectors import matrix

NUMBERS = 8
"""Outputs of up to so many numbers, for up to so many tokens, are shown in full."""
TOKENS = 12


def comparison_page(comparison: Comparison, *, with_caveat: bool = False) -> RenderableType:
    """Model and tokens, one head under both masks, what queries lose, the whole model."""
    tokens, against = comparison.tokens, _called(comparison.against)
    parts: list[RenderableType] = [rule("1  Model and tokens"), header(comparison.model, tokens)]
    if comparison.head:
        parts += [rule("2  One head, two masks"), *_head(comparison.head, tokens, against)]
        parts += [caveat()] if with_caveat else []
        parts += [rule("3  What each query loses"), query_losses(comparison.head, tokens)]
    if comparison.whole:
        parts.append(rule("4  The whole model"))
        parts.append(remark(f"* {against}, in every attention layer", ""))
        parts.append(losses(comparison.whole, tokens, comparison.against))
    if comparison.notes:
        parts += [rule("Notes"), *(remark(note, CAUTION) for note in comparison.notes)]
    return Group(*parts)


def _called(against: str) -> str:
    return {
        "none": "without a mask",
        "multiplied": "scores times 0 and 1",
    }.get(against, f"with {against}")


def _head(head: HeadComparison, tokens: Tokens, against: str) -> list[RenderableType]:
    where = f"layer {head.own.layer}, head {head.own.head}"
    checked = "verified" if head.own.verified else "NOT VERIFIED against the kernel's output"
    titles = (f"{where}, its own mask", f"{where}, {against}")
    parts: list[RenderableType] = [
        remark(f"{head.own.reason}; {checked}", "" if head.own.verified else CAUTION),
        Text(),
        heatmaps((head.own, head.other), tokens, titles),
        Text(),
        difference_map(head.difference, head.own.pool, tokens, "its own mask minus the other"),
    ]
    if len(tokens) <= TOKENS and head.own_output.shape[1] <= NUMBERS:
        parts += [Text(), _outputs(head, tokens, against)]
    return parts


def _outputs(head: HeadComparison, tokens: Tokens, against: str) -> RenderableType:
    def draw(width: int, look: Look) -> RenderableType:
        labels = look.read(tokens).labels
        shown = (
            ("outputs, its own mask", head.own_output),
            (f"outputs, {against}", head.other_output),
        )
        blocks = [matrix(look.say(title), values, labels, look) for title, values in shown]
        return Group(*columns(blocks, width, len(blocks)))

    return Fitted(draw)


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import ModelInfo

    names = ("The", "cat")
    demo = Comparison(
        model=ModelInfo(
            name="demo", architecture="DemoForCausalLM", parameters=1_000, layers=1, heads=1,
            kv_heads=1, device="cpu", dtype="float32", backend="sdpa",
        ),
        tokens=Tokens(ids=(0, 1), texts=names, labels=names, special=(False,) * 2),
        against="none", head=None, whole=None, notes=("Nothing could be compared.",),
    )  # fmt: skip
    Console().print(comparison_page(demo))
