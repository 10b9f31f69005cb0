"""What ran, and the prompt as the model reads it."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import ModelInfo, Tokens
from attnscope.render.flow import flow
from attnscope.render.palette import QUIET, STRONG, Fitted, Look, counted
from attnscope.text import fit, pad

FIRST, LAST = 48, 16
"""Tokens shown from either end of a prompt that is longer than both together."""
WIDEST = 24
"""Terminal cells of the longest token label."""


def header(model: ModelInfo, tokens: Tokens) -> RenderableType:
    """The model in one line, then the tokens over their indices."""
    return Fitted(lambda width, look: _draw(model, tokens, width, look))


def count(number: int) -> str:
    """A large number for people: 1.3 M."""
    if number < 1_000:
        return str(number)
    for size, unit in ((1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")):
        if round(number / size, 1) < 1_000:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e12:,.1f} T"


def _draw(model: ModelInfo, tokens: Tokens, width: int, look: Look) -> RenderableType:
    tokens = look.read(tokens)
    parts = [*flow(facts(model, look), look.say(" · "), width), Text()]
    if len(tokens) <= FIRST + LAST:
        parts += _tokens(tokens, range(len(tokens)), width, look)
    else:
        parts += _tokens(tokens, range(FIRST), width, look)
        more = len(tokens) - FIRST - LAST
        parts.append(Text(look.say(f"… {more:,} more …"), style=QUIET))
        parts += _tokens(tokens, range(len(tokens) - LAST, len(tokens)), width, look)
    parts.append(_footnote(tokens, look))
    return Group(*parts)


def facts(model: ModelInfo, look: Look) -> list[Text]:
    """What the model is and how it runs, a phrase each; its name first, its backend last."""
    told = [model.architecture, f"{count(model.parameters)} parameters"]
    if model.layers and model.heads:
        shape = f"{counted(model.layers, 'layer')} × {counted(model.heads, 'head')}"
        shared = f" ({model.kv_heads} key/value)" if model.kv_heads != model.heads else ""
        told.append(shape + shared)
    elif model.layers:
        told.append(counted(model.layers, "layer"))
    told += [model.device, model.dtype, model.backend]
    return [Text(look.say(model.name), STRONG), *(Text(look.say(fact)) for fact in told)]


def _tokens(tokens: Tokens, positions: range, width: int, look: Look) -> list[Text]:
    """Pairs of lines: the tokens, and their indices below."""
    lines: list[Text] = []
    names, indices = Text(), Text()
    for position in positions:
        name = _name(tokens, position, min(WIDEST, width), look)
        cell = max(cell_len(name), len(str(position)))
        if names.cell_len and names.cell_len + 2 + cell > width:
            indices.rstrip()
            lines += [names, indices]
            names, indices = Text(), Text()
        gap = "  " if names.cell_len else ""
        style = QUIET if tokens.special[position] else STRONG
        names.append(gap).append(pad(name, cell), style=style)
        indices.append(gap + str(position).ljust(cell), style=QUIET)
    indices.rstrip()
    return [*lines, names, indices] if names.cell_len else lines


def _name(tokens: Tokens, position: int, width: int, look: Look) -> str:
    name = tokens.labels[position]
    mark = look.glyphs.special if tokens.special[position] else ""
    return fit(name, width - len(mark), look.glyphs.ellipsis) + mark


def _footnote(tokens: Tokens, look: Look) -> Text:
    words = counted(len(tokens), "token")
    if any(tokens.special):
        words += f" · {look.glyphs.special} added by the tokenizer, template or --pad"
    return Text(look.say(words), style=QUIET)


if __name__ == "__main__":
    from rich.console import Console

    demo_model = ModelInfo(
        name="textbook", architecture="TextbookModel", parameters=1_312_000, layers=4, heads=4,
        kv_heads=2, device="cpu", dtype="float32", backend="sdpa",
    )  # fmt: skip
    words = ("<s>", "The", "cat", "sat", "\\n")
    demo = Tokens(ids=tuple(range(5)), texts=words, labels=words, special=(True, *[False] * 4))
    Console().print(header(demo_model, demo))
