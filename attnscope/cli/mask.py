"""`attnscope mask`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnscope.cli import lesson_options, options
from attnscope.cli.lesson_options import MaskForm
from attnscope.cli.lists import require_one
from attnscope.cli.loading import loading
from attnscope.cli.output import Answer, deliver
from attnscope.cli.progress import working
from attnscope.cli.prompt import parse_ids, parse_pad, read_argument, read_prompt
from attnscope.errors import PromptError, SelectionError
from attnscope.files import require_place

if TYPE_CHECKING:
    from attnscope.records import MaskTables

LONGEST = 16_384
"""Positions that a mask is drawn over at most: cells are looked at one by one."""
LISTED = 1_024
"""Tokens that are told in words at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the options say, checked."""

    masks: tuple[str, ...]
    text: str | None
    length: int | None
    shape: tuple[int, int] | None = None
    listed: bool = False

    def require_list(self, tokens: int) -> None:
        """Raise SelectionError for a list of more tokens than can be told one by one."""
        if self.listed and tokens > LISTED:
            raise SelectionError(
                f"{tokens:,} tokens are too many to list.", f"List at most {LISTED:,}."
            )


def mask(  # noqa: PLR0913, PLR0917 (a command's parameters are its options)
    mask: Annotated[
        str | None,
        typer.Argument(
            metavar="MASK",
            help="causal, bidirectional, sliding:W, chunked:C, prefix:P, packed:3,4,2,"
            " padding:left:N, padding:right:N, row:I, block:I-J, first:N, combined with &, |, ~"
            " and brackets. Not with --model or --diff.",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="Words to draw it over; what a model reads."),
    ] = None,
    length: lesson_options.Positions = None,
    shown: lesson_options.MaskFormOption = MaskForm.map,
    listed: lesson_options.Listed = False,
    diff: lesson_options.Diff = None,
    shape: lesson_options.Shape = False,
    batch: lesson_options.Batch = None,
    heads: lesson_options.Heads = None,
    model: lesson_options.OptionalModel = None,
    file: options.File = None,
    ids: options.Ids = None,
    pad: lesson_options.Pad = None,
    token_types: lesson_options.TokenTypes = None,
    device: options.Device = "auto",
    dtype: options.DtypeOption = options.Dtype.auto,
    backend: options.BackendOption = options.Backend.auto,
    weights: options.WeightsOption = options.Weights.real,
    revision: options.Revision = None,
    device_map: options.DeviceMap = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    form: options.FormatOption = options.Format.table,
    output: options.Output = None,
    width: options.Width = None,
) -> None:
    """Draw any mask as a table: one in words, or those that a model's layers really receive."""
    chosen = loading(locals())
    if output is not None:
        require_place(output)
    shape = shape or batch is not None or heads is not None
    require_one(
        {"--diff": diff, "--shape": shape, "--list": listed, "--form": shown is not MaskForm.map}
    )
    require_one({"--model": model, "--shape": shape})
    sizes = (batch or 2, heads or 4) if shape else None
    asked = _asked(mask, prompt, length, diff, model)
    asked = replace(asked, shape=sizes, listed=listed)
    if model is None:
        _require_model(
            ids=ids, pad=pad, token_types=token_types, revision=revision, device_map=device_map,
            device=None if device == "auto" else device, dtype=_unless(dtype, "auto"),
            backend=_unless(backend, "auto"), weights=_unless(weights, "real"),
        )  # fmt: skip
        tables = _from_words(replace(asked, text=read_prompt(asked.text, file, None)))
    else:
        text = read_prompt(asked.text, file, ids)
        numbers = None if ids is None else parse_ids(ids)
        types = None if token_types is None else parse_ids(token_types, "--token-types")
        beside = (parse_pad(pad), types)
        tables = _from_model(chosen, replace(asked, text=text), numbers, beside)
    deliver(_answer(tables, shown, listed=listed), form, output, width)


def _asked(
    mask: str | None, prompt: str | None, length: int | None,
    diff: tuple[str, str] | None, model: str | None,
) -> _Asked:  # fmt: skip
    """Which of the two arguments is the mask, and which the text."""
    given = [read_argument(one) for one in (mask, prompt) if one is not None]
    masks = tuple(map(read_argument, diff or ()))
    if not masks and model is None:
        if not given:
            raise SelectionError(
                "There is no mask to draw.", 'Name one, for example "causal & padding:left:2".'
            )
        masks, given = (given[0],), given[1:]
    if len(given) > 1:
        named = "--diff names both masks" if diff else "--model has masks of its own"
        raise SelectionError(f"{named}: only a prompt may stand beside it.", "Leave one out.")
    if given and (model or diff):
        _require_prompt(given[0], "--model" if model else "--diff")
    if given and length is not None:
        raise PromptError("--length and PROMPT exclude each other.", "Give one of them.")
    if length is not None and length > LONGEST:
        raise SelectionError(f"--length {length} is too long.", f"Draw at most {LONGEST:,}.")
    return _Asked(masks=masks, text=given[0] if given else None, length=length)


def _require_prompt(text: str, option: str) -> None:
    """A mask in the place of a prompt is a slip: it would be read letter by letter."""
    from attnscope.expressions import parse

    try:
        parse(text)
    except SelectionError:
        return
    raise SelectionError(
        f"Beside {option} stands a prompt, and {text[:40]!r} is a mask.",
        "To hold a layer against a mask: --diff layer:0 MASK.",
    )


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value


def _require_model(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise SelectionError(
                f"--{name.replace('_', '-')} is for what a model reads.", "Give --model too."
            )


def _from_words(asked: _Asked) -> MaskTables:
    from attnscope.expressions import parse
    from attnscope.measure import tables

    expressions = [parse(text) for text in asked.masks]
    if asked.text is not None:
        words = asked.text.split()
        if not words:
            raise PromptError("The prompt is empty.", "Give at least one word.")
        if len(words) > LONGEST:
            raise PromptError(f"{len(words):,} words are too many.", f"Draw at most {LONGEST:,}.")
        tokens = tables.words(words)
    elif asked.length is not None:
        tokens = tables.positions(asked.length)
    else:
        tokens = tables.fitting(expressions)
    asked.require_list(len(tokens))
    with working() as tell:
        tell("drawing")
        return tables.tables(expressions, tokens, asked.shape)


def _from_model(
    chosen: dict[str, Any],
    asked: _Asked,
    numbers: list[int] | None,
    beside: tuple[tuple[int, int], list[int] | None],
) -> MaskTables:
    with working() as tell:
        tell("starting torch and transformers")
        from attnscope import LoadOptions, lessons
        from attnscope.load import any_tokens, load, padded, tokens_of
        from attnscope.measure.tables import held_against

        loaded = load(LoadOptions(**chosen), tell)
        if asked.length is not None:
            tokens = any_tokens(loaded, asked.length)
        else:
            tokens = tokens_of(loaded, asked.text, numbers)
        asked.require_list(len(tokens))
        (left, right), types = beside
        told: dict[str, tuple[int, ...]] = {}
        if types is not None:
            if len(types) != len(tokens):
                raise PromptError(
                    f"--token-types has {len(types)} numbers for {len(tokens)} tokens.",
                    "Give one a token.",
                )
            told["token_type_ids"] = (0,) * left + tuple(types) + (0,) * right
        if left or right:
            told["attention_mask"] = (0,) * left + (1,) * len(tokens) + (0,) * right
            tokens = padded(loaded, tokens, left, right)
        tables = lessons.delivered_masks(loaded, tokens, told, progress=tell)
        return held_against(tables, asked.masks) if asked.masks else tables


def _answer(tables: MaskTables, shown: MaskForm, *, listed: bool) -> Answer:
    from attnscope.render.mask_json import tables_json
    from attnscope.render.mask_page import FORMS, MaskStyle, mask_page

    style = MaskStyle(form=FORMS.get(shown.value), listed=listed)
    return Answer(
        title="attnscope mask",
        page=lambda: mask_page(tables, style),
        data=lambda: tables_json(tables),
    )
