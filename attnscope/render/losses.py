"""The whole model under two masks: what it expects next, and how wrong it is."""

from __future__ import annotations

import math

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import Guess, Leak, LossComparison, Tokens
from attnscope.render.grid import label_at
from attnscope.render.hanging import hanging
from attnscope.render.palette import (
    BAD,
    CAUTION,
    GOOD,
    QUIET,
    STRONG,
    Fitted,
    Look,
    counted,
    perplexity,
)
from attnscope.text import fit, pad

ALL = 32
"""Up to this many positions are all shown; of more, those whose loss changes most."""
ROOMS = ((76, 12), (56, 8), (0, 4))
"""From so many columns on, a token has so many terminal cells."""
READ = 0.1
"""Probability from which on an answer that was put in counts as read off."""
CLEAR = 0.05
"""Nats a token from which on a change of the mean loss is called one."""


def losses(whole: LossComparison, tokens: Tokens, against: str) -> RenderableType:
    """Position by position, then what it means, then the answer that leaks."""
    return Fitted(lambda width, look: Group(*_draw(whole, tokens, against, width, look)))


def _draw(
    whole: LossComparison, tokens: Tokens, against: str, width: int, look: Look
) -> list[Text]:
    tokens = look.read(tokens)
    places = _shown(whole)
    lines = [*_table(whole, tokens, places, width, look)]
    if len(places) < len(whole.own):
        rest = counted(len(whole.own) - len(places), "more position")
        lines.append(Text(look.say(f"… {rest} that change less"), style=QUIET))
    lines += [Text(), *_meaning(whole, against, width, look)]
    return [*lines, Text(), *_leak(whole.leak, tokens, against, width, look)]


def _shown(whole: LossComparison) -> list[int]:
    places = range(len(whole.own))
    if len(places) <= ALL:
        return list(places)
    return sorted(sorted(places, key=lambda place: -abs(_gain(whole, place)))[:ALL])


def _gain(whole: LossComparison, place: int) -> float:
    return whole.own[place].loss - whole.other[place].loss


def _table(
    whole: LossComparison, tokens: Tokens, places: list[int], width: int, look: Look
) -> list[Text]:
    digits = len(str(places[-1]))
    room = next(room for least, room in ROOMS if width >= least)

    def name(label: str) -> str:
        return pad(fit(look.spell(label), room, look.glyphs.ellipsis), room)

    heading = f"{'':{digits}} {name('after')} {name('comes')}  loss "
    heading += f"{name('expects')}   loss* {name('expects*')}"
    lines = [Text(heading.rstrip(), style=QUIET)]
    for place in places:
        own, other = whole.own[place], whole.other[place]
        answer = label_at(tokens, place + 1)
        line = Text.assemble((f"{place:>{digits}} ", QUIET), f"{name(label_at(tokens, place))} ")
        line.append(f"{name(answer)} {own.loss:5.2f} ")
        line.append(name(own.label), GOOD if _right(own, answer, look) else "")
        line.append(f"   {other.loss:5.2f} ", _tone(own, other))
        line.append(name(other.label), GOOD if _right(other, answer, look) else "")
        line.rstrip()
        lines.append(line)
    return lines


def _right(guess: Guess, answer: str, look: Look) -> bool:
    return cell_len(answer) > 0 and look.spell(guess.label) == answer


def _tone(own: Guess, other: Guess) -> str:
    return BAD if other.loss < own.loss - CLEAR else ""


def _meaning(whole: LossComparison, against: str, width: int, look: Look) -> list[Text]:
    name = _called(against)
    before, after = whole.own_loss, whole.other_loss
    lead = Text.assemble(("mean loss  ", QUIET))
    numbers = f"{before:.2f} nats a token (perplexity {perplexity(before)}) with the model's own"
    numbers += f" masks, {after:.2f} (perplexity {perplexity(after)}) {name}*"
    lines = hanging(lead, look.say(numbers), width, STRONG)
    if not math.isfinite(before) or math.isnan(after):
        words = "These losses are no numbers, so nothing can be said of them."
        return [*lines, *hanging(Text(), words, width, BAD)]
    hidden = against in {"none", "bidirectional"}
    if after < before - CLEAR and hidden:
        words = "It falls, and nothing was learned: each position is asked for the next token, and"
        words += " now it can see it. A loss like this is the sign of a missing mask."
    elif after < before - CLEAR:
        words = "It falls: if this mask shows later tokens, part of the answers is in the question."
    elif after > before + CLEAR and hidden:
        words = "It rises: the heads now also mix in later tokens, and this model can make nothing"
        words += " of them. That is what to expect of one that was trained with its mask."
    elif after > before + CLEAR:
        words = "It rises: the model misses what this mask hides."
    else:
        words = "It hardly changes on this prompt."
    return [*lines, *hanging(Text(), look.say(words), width)]


def _called(against: str) -> str:
    return "without a mask" if against == "none" else f"with {against}"


def _leak(leak: Leak, tokens: Tokens, against: str, width: int, look: Look) -> list[Text]:
    """Another answer put in: who notices?"""
    place = f"{label_at(tokens, leak.position)} ({leak.position})"
    put = "other token was" if leak.tried == 1 else "other tokens were"
    words = f"After {place} comes {look.spell(leak.answer)}. {leak.tried} {put} put there instead:"
    words += f" does what is expected after {place} change?"
    lines = hanging(Text("the answer  ", style=QUIET), look.say(words), width)
    own, other = _moved(leak.own_move), _moved(leak.other_move)
    if 0 < leak.own_move <= leak.own_limit:
        own += f", no more than rounding among its experts explains ({leak.own_limit:.3g})"
    if leak.other_move:
        other += f"; {leak.followed} of {leak.tried} got likelier by standing there"
    if leak.after > leak.before:
        put_in = look.spell(leak.other)
        other += f". {put_in} went from {_chance(leak.before)} to {_chance(leak.after)}"
    if leak.followed > leak.tried / 2 and leak.after >= READ:
        other += ": the answer is read, not predicted"
    lines += _side("own masks", leak.own_move, leak.own_limit, f"{own}.", (width, look))
    return lines + _side(_called(against), leak.other_move, 0.0, f"{other}.", (width, look))


def _side(name: str, move: float, limit: float, told: str, fitted: tuple[int, Look]) -> list[Text]:
    width, look = fitted
    mark, style = (look.glyphs.good, GOOD) if move <= limit else (look.glyphs.bad, BAD)
    if 0 < move <= limit:
        mark, style = look.glyphs.neutral, CAUTION
    return hanging(Text(f"{mark} {name}  ", style=style), look.say(told), width)


def _moved(move: float) -> str:
    return f"its logits move by up to {move:.3g}" if move else "nothing moves, bit for bit"


def _chance(share: float) -> str:
    if share < 0.0001:
        return "<0.01%"
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}"


if __name__ == "__main__":
    from rich.console import Console

    names = ("The", "cat", "sat")
    own = tuple(Guess(token=0, label="on", loss=loss) for loss in (2.0, 3.0))
    other = tuple(Guess(token=0, label="cat", loss=loss) for loss in (0.1, 0.2))
    demo_leak = Leak(
        position=0, answer="cat", other="dog", before=1e-6, after=0.8, tried=8, followed=8,
        own_move=0.0, own_limit=0.0, other_move=9.0,
    )  # fmt: skip
    demo = LossComparison(own=own, other=other, leak=demo_leak)
    demo_tokens = Tokens(ids=(0, 1, 2), texts=names, labels=names, special=(False,) * 3)
    Console().print(losses(demo, demo_tokens, "none"))
