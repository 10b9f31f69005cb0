"""Options of `mask`, `compare` and `generate`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from attnscope.cli.options import LOADING_PANEL, LOOK_PANEL, OUTPUT_PANEL, PROMPT_PANEL


class MaskForm(StrEnum):
    """`--form`."""

    map = "map"
    binary = "binary"
    additive = "additive"
    bool = "bool"


_DRAWING = "How to draw it"

Steps = Annotated[
    int,
    typer.Option(min=1, max=10_000, help="Tokens to write.", rich_help_panel=LOOK_PANEL),
]
Top = Annotated[
    int,
    typer.Option(
        min=1, max=50, help="Candidates to show at each step.", rich_help_panel=LOOK_PANEL
    ),
]
CheatOption = Annotated[
    bool,
    typer.Option(
        "--cheat",
        help="Read a given continuation with every mask taken away, and see what that is worth.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Continuation = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The continuation for --cheat; by default the prompt's last --steps tokens.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Delay = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=60.0,
        metavar="SECONDS",
        help="In a terminal, first show the steps one after the other, so long each.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Against = Annotated[
    str,
    typer.Option(
        metavar="MASK",
        help="The other mask: none, or one in words (sliding:3, prefix:2, row:2 …); multiplied:"
        " scores times 0 and 1, a common mistake.",
        rich_help_panel=LOOK_PANEL,
    ),
]
Caveat = Annotated[
    bool,
    typer.Option(
        "--caveat", help="Say what attention weights do not explain.", rich_help_panel=LOOK_PANEL
    ),
]
OptionalModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Draw the masks that this model's layers are handed: bundled name (fable, textbook),"
        " local directory or Hugging Face hub id.",
        rich_help_panel=LOADING_PANEL,
    ),
]
Positions = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Draw over so many plain positions; by default the textbook's five words, or as many"
        " positions as the mask needs.",
        rich_help_panel=_DRAWING,
    ),
]
MaskFormOption = Annotated[
    MaskForm,
    typer.Option(
        "--form",
        help="map: a picture; binary: 1 and 0; additive: 0 and -inf; bool: ✓ and ✗.",
        rich_help_panel=_DRAWING,
    ),
]
Listed = Annotated[
    bool,
    typer.Option(
        "--list",
        help="In words: cat looks at [The, cat]; up to 1,024 tokens.",
        rich_help_panel=_DRAWING,
    ),
]
Diff = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="A B",
        help="Mark the cells in which two masks differ; with --model, layer:I is one too.",
        rich_help_panel=_DRAWING,
    ),
]
Shape = Annotated[
    bool,
    typer.Option(
        "--shape", help="Explain how it is broadcast to the scores.", rich_help_panel=_DRAWING
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(min=1, max=10**6, help="Sequences, for --shape.", rich_help_panel=_DRAWING),
]
Heads = Annotated[
    int | None,
    typer.Option(min=1, max=10**6, help="Heads, for --shape.", rich_help_panel=_DRAWING),
]
Pad = Annotated[
    str | None,
    typer.Option(
        metavar="SIDE:N",
        help="Put pads beside the prompt: left:2 or right:2.",
        rich_help_panel=PROMPT_PANEL,
    ),
]
TokenTypes = Annotated[
    str | None,
    typer.Option(
        metavar="0,1,1,…",
        help="token_type_ids, for models that open blocks of images or prefixes by them.",
        rich_help_panel=PROMPT_PANEL,
    ),
]
