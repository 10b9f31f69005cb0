"""The verdict: was any weight found on a later token, and can the weights be trusted?"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import Trace
from attnscope.render.grid import label_at
from attnscope.render.palette import (
    BAD,
    CAUTION,
    FUTURE,
    GOOD,
    QUIET,
    Fitted,
    Look,
    counted,
    percent,
)

LISTED = 8
"""Layers with unverified heads, or reasons, that are named; the rest is counted."""
REACH = "this is about attention: other ways in which a layer may mix tokens are not inspected"


def proof(trace: Trace) -> RenderableType:
    """What was inspected above the diagonal, and how well the recomputation matched."""
    return Fitted(lambda _width, look: _draw(trace, look))


def _draw(trace: Trace, look: Look) -> RenderableType:
    trace = replace(trace, tokens=look.read(trace.tokens))
    outcome = trace.proof.state
    glyph, words, style = {
        "clean": (look.glyphs.good, "no head looks at a later token", f"bold {GOOD}"),
        "leak": ("!!", _leak_words(trace), FUTURE),
        "unchecked": (look.glyphs.caution, _unchecked_words(trace), f"bold {CAUTION}"),
    }[outcome]
    lines = [Text(look.say(f" {glyph} {words} " if outcome == "leak" else f"{glyph} {words}"))]
    lines[0].stylize(style)
    lines += [Text(look.say(line)) for line in _inspected(trace)]
    if _open_masks(trace):
        lines.append(Text(look.say(_open_words(trace)), style=BAD))
    if trace.proof.future_at is not None and trace.proof.future_max > 0:
        lines.append(Text(look.say(_place(trace)), style=BAD))
    told = [*_recomputed(trace), *_unchecked(trace.proof.unchecked), (REACH, QUIET)]
    lines += [Text(look.say(words), style=tone) for words, tone in told]
    return Group(*lines)


def _leak_words(trace: Trace) -> str:
    if trace.proof.future_max > 0:
        return "A TOKEN SEES THE FUTURE"
    measured = trace.proof.future_cells > 0
    remark = " (no weight went there in this prompt)" if measured else ""
    return f"THE MASK LEAVES THE FUTURE OPEN{remark}"


def _unchecked_words(trace: Trace) -> str:
    return "could not check everything" if trace.proof.future_cells else "could not check"


def _inspected(trace: Trace) -> list[str]:
    verdict = trace.proof
    if verdict.future_cells == 0:
        if len(trace.tokens) <= 1:
            return ["The prompt has a single token: there is no later one to see."]
        return ["No cell above the diagonal could be inspected."]
    over = f"{counted(verdict.layers, 'layer')} × {counted(verdict.heads, 'head')}"
    cells = counted(verdict.future_cells, "cell")
    return [
        f"{cells} above the diagonal inspected over {over}; largest weight {verdict.future_max:.4g}"
    ]


def _place(trace: Trace) -> str:
    layer, head, query, key = trace.proof.future_at or (0, 0, 0, 0)
    names = [f"{label_at(trace.tokens, position)} ({position})" for position in (query, key)]
    words = f"in layer {layer}, head {head}: {' → '.join(names)}"
    words += f", weight {trace.proof.future_max:.4g}"
    if (layer, head) in trace.proof.unverified:
        words += "; not verified, the kernel's own weight may differ"
    return words


def _open_masks(trace: Trace) -> list[int]:
    return sorted({layer for mask in trace.masks if mask.leaves_open for layer in mask.layers})


def _open_words(trace: Trace) -> str:
    layers = _open_masks(trace)
    where = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers"
    return f"the mask of {where} leaves later tokens open"


def _recomputed(trace: Trace) -> list[tuple[str, str]]:
    verdict = trace.proof
    if not isfinite(verdict.recompute_max_diff):
        words = "Nothing could be recomputed, so no weight is confirmed by the kernel's output."
        return [(words, CAUTION)]
    size = f"{verdict.recompute_max_diff:.1e}" if verdict.recompute_max_diff else "0"
    words = f"recomputed: largest difference {size}, {_ratio(verdict.rounding)} rounding explains"
    lines = [(f"{words}; every head verified" if verdict.verified else words, "")]
    if not verdict.verified:
        lines.append((_unverified(verdict.unverified), CAUTION))
    told = f"{verdict.noticed:,} of {verdict.noticeable:,} rows"
    return [*lines, (f"one more open key would have been noticed in {told}", QUIET)]


def _ratio(rounding: float) -> str:
    return (
        f"at most {percent(rounding)} of what" if rounding <= 1 else f"{rounding:,.4g} times what"
    )


def _unchecked(reasons: tuple[str, ...]) -> list[tuple[str, str]]:
    lines = [(f"not checked: {reason}", CAUTION) for reason in reasons[:LISTED]]
    more = len(reasons) - LISTED
    return [*lines, (f"not checked: {more} more", CAUTION)] if more > 0 else lines


def _unverified(heads: tuple[tuple[int, int], ...]) -> str:
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)
    if not by_layer:
        return "not verified"
    listed = [
        f"layer {layer} head{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"
        for layer, found in sorted(by_layer.items())
    ]
    more = f"; … {len(listed) - LISTED} more layers" if len(listed) > LISTED else ""
    return f"not verified: {'; '.join(listed[:LISTED])}{more}"


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import ModelInfo, Proof, Tokens

    demo = Trace(
        model=ModelInfo(
            name="demo", architecture="Demo", parameters=1, layers=1, heads=1, kv_heads=1,
            device="cpu", dtype="float32", backend="eager",
        ),
        tokens=Tokens(ids=(0, 1), texts=("a", "b"), labels=("a", "b"), special=(False, False)),
        masks=(), focus=(), views=(), hand=None, vectors=None, notes=(),
        proof=Proof(
            state="clean", layers=4, heads=4, future_cells=960, future_max=0.0, future_at=None,
            recompute_max_diff=3e-8, rounding=0.2, noticed=90, noticeable=96, verified=True,
            unverified=(), unchecked=(),
        ),
    )  # fmt: skip
    Console().print(proof(demo))
