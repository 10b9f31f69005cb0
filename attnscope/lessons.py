"""Every mask and every lesson: masks, comparisons, generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import torch

from attnscope.api import require_selection, trace_tokens
from attnscope.capture import capture
from attnscope.capture.runs import forward
from attnscope.errors import CaptureError, SelectionError
from attnscope.experiments.cheat import given_tokens, stored_moves, written
from attnscope.experiments.generation import HALF, Written, namer, write
from attnscope.experiments.remask import compare_losses
from attnscope.experiments.subject import subject_of
from attnscope.expressions import parse
from attnscope.load import LoadedModel, Progress
from attnscope.load.continuation import extended, joined_text, room_for
from attnscope.load.parallel import require_whole
from attnscope.load.quiet import quiet
from attnscope.masks import Mask, everything
from attnscope.measure.compare import ComparisonTally, multiplied
from attnscope.measure.mask_map import MaskMaps
from attnscope.measure.pooling import EXACT_UP_TO
from attnscope.measure.run import Selection
from attnscope.measure.trace import under_mask
from attnscope.passes import run_once
from attnscope.records import (
    AttentionCall,
    Cheat,
    Comparison,
    Generation,
    LossComparison,
    MaskTables,
    Step,
    Tokens,
    Unseen,
)
from attnscope.text import ranges

NO_MASK, MULTIPLIED = "none", "multiplied"
"""What `compare` may hold a model's masks against beside a mask in words."""


def delivered_masks(
    loaded: LoadedModel,
    tokens: Tokens,
    beside: Mapping[str, Sequence[int]] = MappingProxyType({}),
    *,
    progress: Progress | None = None,
) -> MaskTables:
    """The masks that each layer's kernel is handed in one forward pass, equal ones once.

    `beside` are further arguments of the model with one number a token, `attention_mask` (1 for
    real tokens, 0 for pads) or `token_type_ids`.

    Raises SelectionError for an argument that it does not take, CaptureError when it does not run.
    """
    require_whole(loaded.model, loaded.info.name)
    maps, size = MaskMaps(), len(tokens)
    notes = dict.fromkeys([loaded.remark] if loaded.remark else [])

    def add(call: AttentionCall) -> None:
        if call.unexplained:
            notes[f"{call.module}: {call.unexplained}"] = None
        elif (call.queries, call.keys) != (size, size):
            notes[
                f"{call.module}: a call of {call.queries} queries over {call.keys} keys, not drawn"
            ] = None
        else:
            maps.add(call)

    def miss(unseen: Unseen) -> None:
        if unseen.over(len(tokens)):
            notes[f"{unseen.module}: {unseen.reason}"] = None

    if progress:
        progress(f"running {loaded.info.name}")
    with quiet(bars=False), capture(loaded.model, add, miss):
        forward(loaded.model, tokens.ids, beside)
    masks = maps.result()
    silent = set(range(loaded.info.layers)) - {layer for mask in masks for layer in mask.layers}
    if silent:
        notes[f"layers {ranges(silent)}: no attention was seen there"] = None
    return MaskTables(model=loaded.info, tokens=tokens, masks=masks, notes=tuple(notes))


def compare(
    loaded: LoadedModel,
    tokens: Tokens,
    against: str = "none",
    selection: Selection | None = None,
    *,
    progress: Progress | None = None,
) -> Comparison:
    """One head, and the whole model, under its own masks and under another one.

    `against` is a mask as `attnscope.expressions` reads it, `none`, or `multiplied`: scores times
    0 and 1, the mistake. It takes the place of the masks; queries, keys and values stay.

    Raises SelectionError for a mask that is not understood, CaptureError when the model fails.
    """
    selection, size = selection or Selection(), len(tokens)
    require_whole(loaded.model, loaded.info.name)
    require_selection(loaded, selection)
    wrong = against == MULTIPLIED
    mask = everything() if against in {NO_MASK, MULTIPLIED} else parse(against).mask(size)
    change = multiplied if wrong else partial(under_mask, mask=mask)
    heads = ComparisonTally(change, torch.tensor(tokens.ids), loaded.info, selection)
    run_once(loaded, tokens.ids, heads.add, heads.miss, progress)
    head = heads.result()
    notes = [*([loaded.remark] if loaded.remark else []), *heads.notes]
    if head is None:
        notes.append("No such head could be recomputed, so none is compared.")
    notes += _other_mixers(loaded, heads.layers)
    obstacle = _obstacle(mask, size, wrong=wrong)
    if obstacle:
        notes.append(obstacle)
    whole = None if obstacle else _whole(loaded, tokens, mask, notes, progress)
    return Comparison(
        model=loaded.info, tokens=tokens, against=against, head=head, whole=whole,
        notes=tuple(notes),
    )  # fmt: skip


def _obstacle(mask: Mask, size: int, *, wrong: bool) -> str:
    """Why a whole model is not run with a mask, in words; empty where it is."""
    blind = int((~mask.rows(0, size, size)[0, 0].any(dim=-1)).sum())
    if blind:
        queries = "1 query sees" if blind == 1 else f"{blind:,} queries see"
        return (
            f"Under this mask {queries} no key at all. What kernels make of that differs, so the"
            " whole model is not run with it."
        )
    if wrong:
        return "The whole model is not run with multiplied scores: only one head is."
    return "The prompt has a single token, so there is no next one to expect." * (size < 2)


def _whole(
    loaded: LoadedModel, tokens: Tokens, mask: Mask, notes: list[str], progress: Progress | None
) -> LossComparison | None:
    """The whole model under another mask; None, and a note, where it does not get everywhere."""
    if progress:
        progress(f"running {loaded.info.name} with another mask")
    try:
        with quiet(bars=False):
            return compare_losses(subject_of(loaded), tokens.ids, mask, loaded.tokenizer)
    except CaptureError as error:
        notes.append(str(error))
        return None


def _other_mixers(loaded: LoadedModel, attending: set[int]) -> list[str]:
    """A note on layers whose attention was not seen, in a model of which some was."""
    others = set(range(loaded.info.layers)) - attending
    if not others or not attending:
        return []
    return [
        f"In layers {ranges(others)} no attention was seen: what mixes tokens there has no mask to"
        " be taken away."
    ]


def generate(
    loaded: LoadedModel,
    tokens: Tokens,
    steps: int = 5,
    selection: Selection | None = None,
    *,
    top: int = 5,
    progress: Progress | None = None,
) -> Generation:
    """Write up to `steps` tokens greedily and show what each step sees, keeps and costs.

    Fewer where the model ends the text or has no more positions. `selection` chooses the head
    whose newest weights are kept, `top` how many candidates are.

    Raises AttnscopeError (SelectionError, CaptureError).
    """
    room = room_for(loaded, tokens, steps)
    view = trace_tokens(loaded, tokens, selection, progress=progress).view
    place = (view.layer, view.head) if view else None
    if progress:
        progress(f"writing {room} tokens with {loaded.info.name}")
    with quiet(bars=False):
        text = write(subject_of(loaded), tokens.ids, room, top, place, namer(loaded.tokenizer))
    notes = _remarks(loaded, text)
    if room < steps and not text.ended:
        notes.append(f"It has no positions for more than {len(tokens) + room - 1} tokens.")
    return Generation(
        model=loaded.info, prompt=tokens, tokens=extended(loaded, tokens, text.ids),
        steps=tuple(text.steps), masks=text.masks, limit=text.limit, untold=text.untold,
        reason=view.reason if view else "", notes=tuple(notes),
    )  # fmt: skip


def _remarks(loaded: LoadedModel, text: Written) -> list[str]:
    """What a reader must know about a text that was written."""
    notes = [loaded.remark] if loaded.remark else []
    if text.ended:
        notes.append("The model ended the text itself.")
    if not text.cached:
        notes.append("The model returns no cache: each step reads the whole text.")
    elif unseen := _without_cache(loaded, text.steps[-1]):
        notes.append(f"Of layers {ranges(unseen)} no cache of their own was seen.")
    notes += [f"Not followed: {words}." for words in text.unseen]
    if loaded.model.dtype in HALF and not text.untold:
        notes.append(
            "In half precision rounding hides much: a float32 copy was asked whether both agree."
        )
    if not text.masks and len(text.ids) > EXACT_UP_TO:
        notes.append(f"The mask of more than {EXACT_UP_TO:,} tokens is not drawn.")
    return notes


def _without_cache(loaded: LoadedModel, step: Step) -> set[int]:
    """Layers of which no keys and values were seen, in a model that keeps some for others."""
    if not any(state.kind == "key/value" for state in step.cache):
        return set()
    return set(range(loaded.info.layers)) - {one for state in step.cache for one in state.layers}


def cheat(
    loaded: LoadedModel, tokens: Tokens, start: int, *, progress: Progress | None = None
) -> Cheat:
    """Read the tokens from `start` on with the future in view, and write without one.

    Raises AttnscopeError (SelectionError, CaptureError), the latter also where the model's masks
    cannot be taken away.
    """
    require_whole(loaded.model, loaded.info.name)
    if not 0 < start < len(tokens):
        raise SelectionError(
            f"A continuation cannot start at {start} of {len(tokens)} tokens.",
            "Leave at least one token before it and one in it.",
        )
    if progress:
        progress(f"reading with {loaded.info.name}, with its masks and without")
    subject, ids, prompt = subject_of(loaded), list(tokens.ids), list(tokens.ids[:start])
    count = len(ids) - start
    with quiet(bars=False):
        answers = given_tokens(subject, ids, start, tokens.labels, namer(loaded.tokenizer))
        honest, cheating = (written(subject, prompt, count, masked=one) for one in (True, False))
        own, stored = stored_moves(subject, prompt, masked=True)
        moved, _ = stored_moves(subject, prompt, masked=False)
    return Cheat(
        model=loaded.info, tokens=tokens, start=start, answers=answers,
        masked_text=joined_text(loaded, honest), cheating_text=joined_text(loaded, cheating),
        masked_move=own, cheating_move=moved, stored=stored,
        notes=(loaded.remark,) if loaded.remark else (),
    )  # fmt: skip


def require_mask(against: str) -> None:
    """Raise SelectionError for what `compare` cannot hold a model's masks against."""
    if against not in {NO_MASK, MULTIPLIED}:
        try:
            parse(against)
        except SelectionError as error:
            hint = f"{error.hint} Or {NO_MASK}, or {MULTIPLIED}." if error.hint else ""
            raise SelectionError(error.message, hint) from error
