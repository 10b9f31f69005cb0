"""A mask in words: `cat looks at [The, cat]`."""

from __future__ import annotations

import torch
from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.records import CELL_FUTURE_SEEN, CELL_SEEN, MaskMap, Tokens
from attnscope.render.grid import first_query, label_at
from attnscope.render.hanging import hanging
from attnscope.render.mask_table import title
from attnscope.render.palette import BAD, CAUTION, FUTURE, QUIET, Fitted, Look, counted
from attnscope.text import ranges

NOTATION = frozenset("!,[]")
"""Signs that would be read as part of the list."""
NAMED = 12
"""Keys that are named; more are told as ranges of positions."""


def mask_list(mask: MaskMap, tokens: Tokens) -> RenderableType:
    """One line a query with the keys that it sees; later ones are marked."""
    return Fitted(lambda width, look: Group(*_draw(mask, tokens, width, look)))


def _draw(mask: MaskMap, tokens: Tokens, width: int, look: Look) -> list[Text]:
    lines = [title(mask, look)]
    if mask.pool > 1:
        words = f"{counted(len(tokens), 'token')} are too many to list; leave --list out."
        return [*lines, Text(look.say(words), style=CAUTION)]
    tokens = look.read(tokens)
    start = first_query(mask.cells, mask.pool)
    names = [_name(tokens, place) for place in range(mask.cells.shape[1])]
    for row, bits in enumerate(mask.cells.cpu()):
        lines += _row(names, start + row, bits, width, look)
    if mask.leaves_open:
        lines += [Text(), Text.assemble(("!", FUTURE), (" a later token", BAD))]
    return [*lines, *(Text(look.say(note), style=CAUTION) for note in mask.notes)]


def _row(names: list[str], query: int, bits: torch.Tensor, width: int, look: Look) -> list[Text]:
    seen = (bits & (CELL_SEEN | CELL_FUTURE_SEEN)).nonzero().flatten().tolist()
    later = {key for key in seen if int(bits[key]) & CELL_FUTURE_SEEN}
    lead = Text.assemble((names[query], "bold"), (" looks at ", QUIET))
    if not seen:
        return hanging(lead, "nothing: every key is blocked", width, CAUTION)
    if len(seen) > NAMED:
        words = f"{len(seen):,} keys, {ranges(seen)}"
        words += f", {len(later):,} of them later !" if later else ""
    else:
        words = ", ".join(names[key] + ("!" if key in later else "") for key in seen)
    lines = hanging(lead, f"[{words}]", width)
    for line in lines if later else ():
        line.highlight_regex(r"(?<=\S)!(?=[,\]])|(?<= )!", FUTURE)
    return lines


def _name(tokens: Tokens, place: int) -> str:
    """The label, with its position where the label stands more than once."""
    label = label_at(tokens, place)
    name = f'"{label}"' if set(label) & NOTATION else label
    return f"{name}({place})" if tokens.labels.count(label) > 1 else name


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.records import CELL_FUTURE_BLOCKED

    words = ("The", "cat", "sat")
    demo_tokens = Tokens(ids=(0, 1, 2), texts=words, labels=words, special=(False,) * 3)
    ones = torch.ones(3, 3, dtype=torch.uint8)
    demo_cells = ones.tril() * CELL_SEEN + ones.triu(1) * CELL_FUTURE_BLOCKED
    demo_cells[0, 2] = CELL_FUTURE_SEEN
    demo = MaskMap(layers=(), form="causal", cells=demo_cells, pool=1, notes=())
    Console().print(mask_list(demo, demo_tokens))
