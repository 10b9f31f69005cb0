"""The whole page that `attnscope trace` prints, in reading order."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import Trace
from attnscope.render.caveat import caveat
from attnscope.render.focus_map import focus_map
from attnscope.render.hand_trace import hand_trace
from attnscope.render.header import header
from attnscope.render.heatmap import heatmaps
from attnscope.render.mask_table import mask_table
from attnscope.render.palette import CAUTION, QUIET, STRONG, Fitted, Look
from attnscope.render.proof import proof
from attnscope.render.vectors import vectors

SAME_MASK = "a layer's mask closes the same cells in every head; each fills the rest its own way"


def page(trace: Trace, *, with_caveat: bool = False) -> RenderableType:
    """Six sections: model and tokens, mask, focus map, heatmap, hand trace, proof; then notes."""
    parts: list[RenderableType] = [rule("1  Model and tokens"), header(trace.model, trace.tokens)]
    if trace.focus or trace.masks or trace.view:
        parts += _attention(trace, with_caveat=with_caveat)
    else:
        words = "Nothing was checked: no attention was seen, so there is no mask and no weight."
        parts += [rule("Attention"), remark(words, CAUTION)]
    if trace.notes:
        parts += [rule("Notes"), *(remark(note, "") for note in trace.notes)]
    return Group(*parts)


def _attention(trace: Trace, *, with_caveat: bool) -> list[RenderableType]:
    parts: list[RenderableType] = [rule("2  Mask: who may see whom")]
    parts += _apart([mask_table(mask, trace.tokens) for mask in trace.masks])
    if not trace.masks:
        parts.append(remark("No mask could be recorded.", CAUTION))
    parts.append(rule("3  Focus: where each head looks"))
    missing = remark("No head's weights could be recorded.", CAUTION)
    parts.append(focus_map(trace.focus) if trace.focus else missing)
    several = len(trace.views) > 1
    whose = "several heads'" if several else "one head's"
    parts.append(rule(f"4  Heatmap: {whose} weights"))
    parts.append(heatmaps(trace.views, trace.tokens) if trace.views else missing)
    if several:
        parts.append(remark(SAME_MASK, QUIET))
    if with_caveat:
        parts.append(caveat(trace.hand, trace.tokens))
    parts.append(rule("5  Hand trace: one query, step by step"))
    missing = remark("Could not be recomputed for this model.", CAUTION)
    parts.append(hand_trace(trace.hand, trace.tokens) if trace.hand else missing)
    if trace.vectors:
        parts += [Text(), vectors(trace.vectors, trace.tokens)]
    return [*parts, rule("6  Proof"), proof(trace)]


def _apart(parts: Iterable[RenderableType]) -> list[RenderableType]:
    """The parts with an empty line between them."""
    spaced: list[RenderableType] = []
    for part in parts:
        spaced += [Text(), part] if spaced else [part]
    return spaced


def remark(words: str, style: str) -> RenderableType:
    """A sentence, in the glyphs that the terminal has."""
    return Fitted(lambda _width, look: Text(look.say(words), style=style))


def rule(title: str) -> RenderableType:
    """A section's title with a line to the right edge, set off by empty lines."""
    return Fitted(lambda width, look: _line(title, width, look))


def _line(title: str, width: int, look: Look) -> RenderableType:
    rest = max(width - len(title) - 2, 0)
    line = look.say("─" * rest)
    return Group(Text(), Text.assemble((title, STRONG), "  ", (line, QUIET)), Text())


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import ModelInfo, Proof, Tokens

    demo = Trace(
        model=ModelInfo(
            name="demo", architecture="MambaForCausalLM", parameters=1_000, layers=2, heads=0,
            kv_heads=0, device="cpu", dtype="float32", backend="none",
        ),
        tokens=Tokens(ids=(0, 1), texts=("a", "b"), labels=("a", "b"), special=(False, False)),
        masks=(), focus=(), views=(), hand=None, vectors=None, notes=("No attention here.",),
        proof=Proof(
            state="unchecked", layers=0, heads=0, future_cells=0, future_max=0.0, future_at=None,
            recompute_max_diff=float("nan"), rounding=float("nan"), noticed=0, noticeable=0,
            verified=False, unverified=(), unchecked=(),
        ),
    )  # fmt: skip
    Console().print(page(demo))
