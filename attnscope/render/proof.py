"""The verdict: was any weight found on a later token, and can the weights be trusted?"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import CELL_FUTURE_SEEN, Trace
from attnscope.render.grid import label_at
from attnscope.render.palette import BAD, CAUTION, FUTURE, GOOD, Fitted, Look, counted

LISTED = 8
"""Layers with unverified heads that are named; the rest is counted."""


def proof(trace: Trace) -> RenderableType:
    """What was inspected above the diagonal, and how well the recomputation matched."""
    return Fitted(lambda _width, look: _draw(trace, look))


def state(trace: Trace) -> str:
    """The verdict in one word: `leak`, `clean` or `unchecked`.

    Clean needs all of it: cells above the diagonal inspected, no weight in any of them, every
    head's recomputation verified, and no mask that leaves a later token open.
    """
    verdict = trace.proof
    if verdict.future_max > 0 or _open_masks(trace):
        return "leak"
    inspected = verdict.future_cells > 0 and verdict.future_max == 0
    return "clean" if inspected and verdict.verified and not verdict.unverified else "unchecked"


def _draw(trace: Trace, look: Look) -> RenderableType:
    trace = replace(trace, tokens=look.read(trace.tokens))
    outcome = state(trace)
    glyph, words, style = {
        "clean": (look.glyphs.good, "no token sees the future", f"bold {GOOD}"),
        "leak": ("!!", _leak_words(trace), FUTURE),
        "unchecked": (look.glyphs.caution, "could not check", f"bold {CAUTION}"),
    }[outcome]
    lines = [Text(look.say(f" {glyph} {words} " if outcome == "leak" else f"{glyph} {words}"))]
    lines[0].stylize(style)
    lines += [Text(look.say(line)) for line in _inspected(trace)]
    if _open_masks(trace):
        lines.append(Text(look.say(_open_words(trace)), style=BAD))
    if trace.proof.future_at is not None and trace.proof.future_max > 0:
        lines.append(Text(look.say(_place(trace)), style=BAD))
    lines += [Text(look.say(words), style=tone) for words, tone in _recomputed(trace)]
    return Group(*lines)


def _leak_words(trace: Trace) -> str:
    if trace.proof.future_max > 0:
        return "A TOKEN SEES THE FUTURE"
    measured = trace.proof.future_cells > 0 and trace.proof.future_max == 0
    remark = " (no weight went there in this prompt)" if measured else ""
    return f"THE MASK LEAVES THE FUTURE OPEN{remark}"


def _inspected(trace: Trace) -> list[str]:
    verdict = trace.proof
    if verdict.future_cells == 0:
        if len(trace.tokens) <= 1:
            return ["The prompt has a single token: there is no later one to see."]
        return ["No cell above the diagonal could be inspected."]
    layers = len({each.layer for each in trace.focus})
    heads = len({each.head for each in trace.focus})
    over = f" over {counted(layers, 'layer')} × {counted(heads, 'head')}" if layers else ""
    largest = f"{verdict.future_max:.4g}" if isfinite(verdict.future_max) else "not a number"
    cells = counted(verdict.future_cells, "cell")
    return [f"{cells} above the diagonal inspected{over}; largest weight {largest}"]


def _place(trace: Trace) -> str:
    layer, head, query, key = trace.proof.future_at or (0, 0, 0, 0)
    names = [f"{label_at(trace.tokens, position)} ({position})" for position in (query, key)]
    words = f"in layer {layer}, head {head}: {' → '.join(names)}"
    words += f", weight {trace.proof.future_max:.4g}"
    if (layer, head) in trace.proof.unverified:
        words += "; not verified, the kernel's own weight may differ"
    return words


def _open_masks(trace: Trace) -> list[int]:
    return sorted(
        layer
        for mask in trace.masks
        if bool((mask.cells & CELL_FUTURE_SEEN).any())
        for layer in mask.layers
    )


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
    words = f"recomputed: largest difference {size}"
    words += f", limit {verdict.limit:.1e}"
    if verdict.verified and not verdict.unverified:
        return [(f"{words}; every head verified", "")]
    return [(words, ""), (_unverified(verdict.unverified), CAUTION)]


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
        masks=(), focus=(), view=None, hand=None, vectors=None, notes=(),
        proof=Proof(
            future_cells=960, future_max=0.0, future_at=None, recompute_max_diff=3e-8,
            limit=1e-6, verified=True, unverified=(),
        ),
    )  # fmt: skip
    Console().print(proof(demo))
