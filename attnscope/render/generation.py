"""The page that `attnscope generate` prints."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import Generation, MaskMap, Tokens
from attnscope.render.generation_step import generation_step
from attnscope.render.hanging import hanging
from attnscope.render.header import header
from attnscope.render.mask_table import mask_table
from attnscope.render.page import remark, rule
from attnscope.render.palette import BAD, CAUTION, GOOD, QUIET, STRONG, Fitted, Look, counted


def generation_page(generation: Generation) -> RenderableType:
    """Model and prompt, one block a step, the mask as it grew, and what all of it cost."""
    parts: list[RenderableType] = [
        rule("1  Model and prompt"), header(generation.model, generation.prompt),
        rule("2  Token by token"),
    ]  # fmt: skip
    if generation.reason:
        parts += [remark(f"the head that is shown: {generation.reason}", QUIET), Text()]
    for number, step in enumerate(generation.steps, start=1):
        if number > 1:
            parts.append(Text())
        parts.append(generation_step(step, number, generation.tokens, generation.limit))
    if generation.masks:
        parts.append(rule("3  The mask as it grew"))
        parts += _masks(generation.masks, generation.tokens)
    number = 4 if generation.masks else 3
    parts += [rule(f"{number}  The text, and what it cost"), totals(generation)]
    if generation.notes:
        parts += [rule("Notes"), *(remark(note, CAUTION) for note in generation.notes)]
    return Group(*parts)


def frame(generation: Generation, steps: int) -> RenderableType:
    """What stands on the screen after so many steps: the mask so far and the newest step."""
    step = generation.steps[steps - 1]
    read = step.read + 1
    masks = [
        replace(mask, cells=mask.cells[:read, :read], notes=())
        for mask in generation.masks
        if mask.pool == 1
    ]
    tokens = first_tokens(generation.tokens, read)
    block = generation_step(step, steps, generation.tokens, generation.limit)
    return Group(*_masks(tuple(masks), tokens), Text(), block)


def first_tokens(tokens: Tokens, count: int) -> Tokens:
    """The first tokens of a text."""
    return Tokens(
        ids=tokens.ids[:count],
        texts=tokens.texts[:count],
        labels=tokens.labels[:count],
        special=tokens.special[:count],
    )


def totals(generation: Generation) -> RenderableType:
    """The text, what it cost with and without the cache, and whether both ways agree."""
    return Fitted(lambda width, look: Group(*_totals(generation, width, look)))


def _masks(masks: tuple[MaskMap, ...], tokens: Tokens) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for mask in masks:
        read = first_tokens(tokens, len(tokens) if mask.pool > 1 else mask.cells.shape[1])
        parts += [Text(), mask_table(mask, read)] if parts else [mask_table(mask, read)]
    return parts


def _totals(generation: Generation, width: int, look: Look) -> list[Text]:
    texts, prompt = generation.tokens.texts, len(generation.prompt)
    between = " " if texts == tuple(map(str, generation.tokens.ids)) else ""
    before, after = between.join(texts[:prompt]), between.join(texts[prompt:])
    lines = [*hanging(Text(), look.say(before), width, QUIET)]
    lines += [
        *hanging(Text(look.say("→ ")), look.say(after.strip()) or '""', width, STRONG),
        Text(),
    ]
    for name, costs in (
        ("with the cache", [step.cached for step in generation.steps]),
        ("without it", [step.full for step in generation.steps]),
    ):
        tokens, products = (
            sum(getattr(one, part) for one in costs) for part in ("tokens", "products")
        )
        words = f"{counted(tokens, 'token')} through the model, {products:,} query · key products"
        lines += hanging(Text(f"{name:<16}", style=STRONG), look.say(words), width)
    lines += hanging(Text(), look.say(_law(generation)), width, QUIET)
    return [*lines, *_agreement(generation, width, look)]


def _law(generation: Generation) -> str:
    """How both grow, counted on the last step."""
    last = generation.steps[-1]
    if not last.full.products or not last.cached.products:
        return "No query · key product was counted: how costs grow is not shown here."
    if len(generation.steps) == 1:
        return "The first step reads the whole prompt; a cache saves from the second one on."
    if last.cached == last.full:
        return "A step costs as much as the whole text: N · N products for N tokens, in each head."
    return (
        f"The last step reads token {last.read + 1}: with the cache one row of the mask, N products"
        " in each head; without it all of its rows, N · N in each head. Here"
        f" {last.full.products:,} / {last.cached.products:,} ="
        f" {last.full.products / last.cached.products:.1f} times as many."
    )


def _agreement(generation: Generation, width: int, look: Look) -> list[Text]:
    if generation.untold:
        words = f"{look.glyphs.neutral} both ways are not compared: {generation.untold}"
        return hanging(Text(), look.say(words), width, CAUTION)
    wrong = [step for step in generation.steps if not step.drift <= generation.limit]
    if wrong:
        verb = "differs" if len(wrong) == 1 else "differ"
        words = f"{look.glyphs.bad} {counted(len(wrong), 'step')} {verb} from the whole text by"
        words += " more than rounding explains: attnscope verify-mask looks into it"
        return hanging(Text(), look.say(words), width, BAD)
    words = f"{look.glyphs.good} both ways agree at every step within what rounding explains"
    return hanging(Text(), look.say(f"{words} ({generation.limit:.1e})"), width, GOOD)


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import Candidate, ModelInfo, Step, StepCost

    names = ("The", "cat", "sat")
    demo = Generation(
        model=ModelInfo(
            name="demo", architecture="DemoForCausalLM", parameters=1_000, layers=1, heads=1,
            kv_heads=1, device="cpu", dtype="float32", backend="sdpa",
        ),
        prompt=Tokens(ids=(0, 1), texts=names[:2], labels=names[:2], special=(False,) * 2),
        tokens=Tokens(ids=(0, 1, 2), texts=names, labels=names, special=(False,) * 3),
        steps=(
            Step(
                read=1, candidates=(Candidate(token=2, label="sat", probability=0.9),), rows=(),
                weights=None, cache=(), drift=0.0, cached=StepCost(tokens=2, products=4),
                full=StepCost(tokens=2, products=4),
            ),
        ),
        masks=(), limit=1e-5, untold="", reason="", notes=(),
    )  # fmt: skip
    Console().print(generation_page(demo))
