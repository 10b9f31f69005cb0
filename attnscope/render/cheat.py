"""The page that `attnscope generate --cheat` prints."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import Cheat, GivenToken
from attnscope.render.hanging import hanging
from attnscope.render.header import header
from attnscope.render.page import remark, rule
from attnscope.render.palette import (
    BAD,
    CAUTION,
    GOOD,
    QUIET,
    STRONG,
    Fitted,
    Look,
    percent,
    perplexity,
)
from attnscope.text import fit, pad

WAYS = (
    ("masked", "its masks"),
    ("cheating", "all in view"),
    ("alone", "no future"),
)
"""The three ways, and what stands over their columns."""
ROOMS = ((76, 10), (58, 7), (0, 3))
"""From so many columns on, a token has so many terminal cells."""
CLEAR = 0.05
"""Nats a token from which on a difference is called one."""


def cheat_page(cheat: Cheat) -> RenderableType:
    """Model and text, each given token in three ways, what is written, and what a cache needs."""
    parts: list[RenderableType] = [
        rule("1  Model and text"), header(cheat.model, cheat.tokens),
        rule("2  The continuation, expected in three ways"),
        Fitted(lambda width, look: Group(*_table(cheat, width, look))),
        rule("3  And when there is nothing to copy"),
        Fitted(lambda width, look: Group(*_written(cheat, width, look))),
    ]  # fmt: skip
    if cheat.notes:
        parts += [rule("Notes"), *(remark(note, CAUTION) for note in cheat.notes)]
    return Group(*parts)


def _table(cheat: Cheat, width: int, look: Look) -> list[Text]:
    digits = len(str(cheat.answers[-1].position))
    room = next(room for least, room in ROOMS if width >= least)
    heading = f"{'':{digits}} {pad('given', room)}"
    for _, title in WAYS:
        heading += "  " + pad(fit(title, room + 6, look.glyphs.ellipsis), room + 6)
    lines = [Text(heading.rstrip(), style=QUIET)]
    for answer in cheat.answers:
        lines.append(_row(answer, digits, room, look))
    means = Text(f"{'':{digits}} {pad('mean loss', room + 2)}")
    for way, _ in WAYS:
        means.append(f"{'':{room}} {cheat.mean(way):5.2f}  ", STRONG)
    means.rstrip()
    note = "expected token and loss in nats. All in view: every mask is taken away and the whole"
    note += " text is there. No future: every mask is taken away, and only what stands before a"
    note += " token is there, as when a text is written."
    lines += [means, Text(), *hanging(Text(), look.say(note), width, QUIET)]
    return [*lines, Text(), *hanging(Text(), look.say(_meaning(cheat)), width)]


def _row(answer: GivenToken, digits: int, room: int, look: Look) -> Text:
    name = pad(fit(look.spell(answer.label), room, look.glyphs.ellipsis), room)
    line = Text.assemble((f"{answer.position:>{digits}} ", QUIET), (name, STRONG))
    for way, _ in WAYS:
        expected, loss = getattr(answer, way), float(getattr(answer, f"{way}_loss"))
        told = fit(look.spell(expected.label), room, look.glyphs.ellipsis)
        right = expected.label == answer.label
        line.append("  ").append(pad(told, room), GOOD if right else "")
        line.append(f" {loss:5.2f}", BAD if way == "cheating" and right else "")
    line.rstrip()
    return line


def _meaning(cheat: Cheat) -> str:
    masked, cheating, alone = (cheat.mean(way) for way, _ in WAYS)
    if not all(map(math.isfinite, (masked, alone))) or math.isnan(cheating):
        return "Some of these losses are no numbers, so nothing can be said of them."
    if cheating < masked - CLEAR:
        words = (
            f"With all in view the loss falls from {masked:.2f} to {cheating:.2f}"
            f" (perplexity {perplexity(masked)} to {perplexity(cheating)}): each position is"
            " asked for the next token and can look at it. "
        )
    elif cheating > masked + CLEAR:
        words = (
            f"With all in view the loss rises from {masked:.2f} to {cheating:.2f}: this"
            " model never met later tokens, and does not know what to do with them. "
        )
    else:
        words = "With all in view the loss hardly changes on this text. "
    if alone > cheating + CLEAR:
        return words + (
            f"But a text that is being written has no future: there, what helped is gone, and the"
            f" loss is {alone:.2f}"
            + (
                ", worse than with the masks."
                if alone > masked + CLEAR
                else ", as with the masks."
                if alone > masked - CLEAR
                else ". That it is less than with the masks is an accident of this text."
            )
        )
    return words + f"Without a future there the loss is {alone:.2f}."


def _written(cheat: Cheat, width: int, look: Look) -> list[Text]:
    prompt = "".join(cheat.tokens.texts[: cheat.start])
    lines = hanging(Text(), look.say(prompt), width, QUIET)
    for name, text in (("with its masks", cheat.masked_text), ("without", cheat.cheating_text)):
        lead = Text(look.say(f"→ {name:<16}"), style=QUIET)
        lines += hanging(lead, look.say(text.strip()) or '""', width, STRONG)
    words = "The same text: taking the masks away does not change what is written here."
    if cheat.masked_text != cheat.cheating_text:
        words = "Both write the likeliest token each time, and neither can look ahead. But without"
        words += " masks the words before the newest one also look at those after them, as they"
        words += " never did in training, and the text goes another way."
    lines += [Text(), *hanging(Text(), look.say(words), width)]
    return [*lines, Text(), *_cache(cheat, width, look)]


def _cache(cheat: Cheat, width: int, look: Look) -> list[Text]:
    if not cheat.stored:
        return []
    share = percent(cheat.cheating_move / cheat.stored)
    words = f"of the {cheat.stored:,} numbers in the prompt's keys and values,"
    words += f" {cheat.masked_move:,} change with its masks when the token after it is another one,"
    words += f" and {cheat.cheating_move:,} ({share}) without."
    if cheat.cheating_move and not cheat.masked_move:
        words += " What is written can be kept only because no later token can change it: without"
        words += " the mask there is no key/value cache."
    elif not cheat.cheating_move and not cheat.masked_move:
        words += " No attention comes before them, so nothing later has reached them; in a further"
        words += " attention layer they would change."
    return hanging(Text("the cache  ", style=QUIET), look.say(words), width)


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import Candidate, ModelInfo, Tokens

    names = ("The", " cat", " sat")
    guess = Candidate(token=2, label="sat", probability=0.9)
    demo = Cheat(
        model=ModelInfo(
            name="demo", architecture="DemoForCausalLM", parameters=1_000, layers=1, heads=1,
            kv_heads=1, device="cpu", dtype="float32", backend="sdpa",
        ),
        tokens=Tokens(ids=(0, 1, 2), texts=names, labels=names, special=(False,) * 3), start=2,
        answers=(
            GivenToken(
                position=2, label="sat", masked=guess, masked_loss=2.0, cheating=guess,
                cheating_loss=0.1, alone=guess, alone_loss=3.0,
            ),
        ),
        masked_text=" sat", cheating_text=" cat", masked_move=0, cheating_move=9, stored=12,
        notes=(),
    )  # fmt: skip
    Console().print(cheat_page(demo))
