"""Options of `heads`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from attnscope.cli.options import LOADING_PANEL, LOOK_PANEL, OUTPUT_PANEL, PROMPT_PANEL, Backend
from attnscope.errors import SelectionError
from attnscope.heads_options import Part

_PAIR = r"(-?[0-9]{1,4}):(-?[0-9]{1,4})|[lL]([0-9]{1,4})\.[hH]([0-9]{1,4})"


class Tabular(StrEnum):
    """`--format` where an answer is a table too."""

    table = "table"
    json = "json"
    csv = "csv"


class Sort(StrEnum):
    """`--sort`: the names in `attnscope.heads_options.SORTS`."""

    entropy = "entropy"
    sink = "sink"
    distance = "distance"
    previous = "previous"
    induction = "induction"
    duplicate = "duplicate"
    self = "self"


Layers = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER,…", help="Only these layers, as 0-3,-1.", rich_help_panel=LOOK_PANEL
    ),
]
HeadPairs = Annotated[
    str | None,
    typer.Option(
        "--head",
        metavar="LAYER:HEAD,…",
        help="Draw heatmaps of these heads, as 3:1,-1:0.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Rows = Annotated[
    str | None,
    typer.Option(
        metavar="A:B",
        help="Only these queries in the heatmaps, as a Python slice: from A up to, not including,"
        " B. The part is computed exactly.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Keys = Annotated[
    str | None,
    typer.Option(metavar="C:D", help="Only these keys, likewise.", rich_help_panel=LOOK_PANEL),
]
SortOption = Annotated[
    Sort | None,
    typer.Option(
        "--sort",
        help="Heads in this order: entropy from the lowest (most focused), all others from the"
        " largest; by default by entropy, in JSON and CSV layer by layer.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Reverse = Annotated[
    bool, typer.Option("--reverse", help="The other end first.", rich_help_panel=LOOK_PANEL)
]
Top = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="So many heads, and tokens; by default 10, in JSON and CSV all heads.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        min=2,
        metavar="TOKENS",
        help="Read so many tokens at once; by default as many as the model has positions for."
        " A longer text is read in windows that do not see each other.",
        rich_help_panel=PROMPT_PANEL,
    ),
]
NoWindow = Annotated[
    bool,
    typer.Option(
        "--no-window",
        help="Refuse a text that is longer than the model reads at once.",
        rich_help_panel=PROMPT_PANEL,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keep everything in a safetensors file, to look again without the model.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Show what --save kept: no prompt is read and no model is loaded.",
        rich_help_panel=PROMPT_PANEL,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Bundled name (fable, textbook), local directory or Hugging Face hub id; by default"
        " fable.",
        rich_help_panel=LOADING_PANEL,
    ),
]
AskedBackend = Annotated[
    Backend | None,
    typer.Option("--backend", help="auto: as transformers chooses.", rich_help_panel=LOADING_PANEL),
]
"""Like `options.AskedDevice`: None is what nobody said."""
FormatOption = Annotated[
    Tabular, typer.Option("--format", help="What to print.", rich_help_panel=OUTPUT_PANEL)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Write to a file instead: text, .json, .csv, .svg or .html, by its ending.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]


def parse_layers(text: str | None) -> tuple[int, ...] | None:
    """Layers from a list such as 0-3,-1; None where none is given.

    Raises SelectionError for anything else.
    """
    if text is None:
        return None
    layers: list[int] = []
    for part in text.replace(",", " ").split() or [text]:
        span = re.fullmatch(r"([0-9]{1,4})-([0-9]{1,4})", part)
        if span and int(span[1]) <= int(span[2]):
            layers += range(int(span[1]), int(span[2]) + 1)
        elif re.fullmatch(r"-?[0-9]{1,4}", part):
            layers.append(int(part))
        else:
            raise SelectionError(
                f"--layers takes numbers such as 0-3,-1, not {part[:40]!r}.",
                "Count from 0, or from -1 for the last.",
            )
    return tuple(dict.fromkeys(layers))


def parse_pairs(text: str | None) -> tuple[tuple[int, int], ...]:
    """Heads from a list such as 3:1,-1:0, or as the table names them: L3.H1.

    Raises SelectionError for anything else.
    """
    pairs = []
    for part in () if text is None else text.replace(",", " ").split() or [text]:
        found = re.fullmatch(_PAIR, part)
        if found is None:
            raise SelectionError(
                f"--head takes a layer and a head such as 3:1, not {part[:40]!r}.",
                "Several stand apart by commas: 3:1,-1:0.",
            )
        layer, head = (one for one in found.groups() if one is not None)
        pairs.append((int(layer), int(head)))
    return tuple(dict.fromkeys(pairs))


def parse_part(text: str | None, option: str) -> Part | None:
    """A part of the text from words such as 100:200, 100: or :-5; None where none is given.

    Raises SelectionError for anything else, and for a part that is empty whatever the text.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(-?[0-9]{1,12})?\s*:\s*(-?[0-9]{1,12})?\s*", text)
    if found is None:
        raise SelectionError(
            f"{option} takes a part such as 100:200, not {text[:40]!r}.",
            "100: goes to the end, and -50: are the last 50.",
        )
    first, stop = (None if one is None else int(one) for one in found.groups())
    if first is not None and stop is not None and (first < 0) == (stop < 0) and first >= stop:
        raise SelectionError(f"{option} {text.strip()} is empty.", "Give the smaller one first.")
    return first, stop
