"""The library's front door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import torch

from attnscope.capture import capture
from attnscope.capture.runs import forward
from attnscope.capture.session import OnCall, OnUnseen
from attnscope.errors import CaptureError, SelectionError
from attnscope.experiments.remask import compare_losses
from attnscope.experiments.subject import subject_of
from attnscope.expressions import parse
from attnscope.load import LoadedModel, LoadOptions, Progress, load, tokenize
from attnscope.load.quiet import quiet
from attnscope.masks import everything
from attnscope.measure.compare import ComparisonTally, multiplied
from attnscope.measure.mask_map import MaskMaps
from attnscope.measure.run import RunTally, Selection
from attnscope.measure.trace import under_mask
from attnscope.records import AttentionCall, Comparison, MaskTables, Tokens, Trace, Unseen
from attnscope.report import Report
from attnscope.text import ranges
from attnscope.verification import VerifyOptions, verify_model

NO_MASK, MULTIPLIED = "none", "multiplied"
"""What `compare` may hold a model's masks against beside a mask in words."""


def trace(
    prompt: str | None = None,
    *,
    model: str | LoadOptions | LoadedModel = "fable",
    layer: int | None = None,
    head: int | None = None,
    query: int | str | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Run a prompt through a causal language model and show what its attention did.

    `model` is a bundled name, a directory or a hub id, or a
    `LoadOptions`, or what `attnscope.load.load` returned.
    Without a prompt the model's own default is read. `layer`, `head` and `query` choose the head
    and the query that are shown in full; left out, the most telling head and the last token.

    Raises AttnscopeError (LoadError, PromptError, SelectionError, CaptureError).
    """
    loaded = _loaded(model, progress)
    tokens = tokenize(loaded, loaded.default_prompt if prompt is None else prompt)
    return trace_tokens(
        loaded, tokens, Selection(layer=layer, head=head, query=query), progress=progress
    )


def trace_tokens(
    loaded: LoadedModel,
    tokens: Tokens,
    selection: Selection | None = None,
    *,
    progress: Progress | None = None,
) -> Trace:
    """`trace` for a loaded model and a prompt that is tokens already.

    One forward pass; each attention call is measured while it runs and then dropped.
    """
    selection = selection or Selection()
    _require_selection(loaded, selection)
    run = RunTally(loaded.info, tokens, selection)
    if loaded.unused_weights:
        run.note(_unused(loaded))
    _run(loaded, tokens, run.add, run.miss, progress)
    return run.result()


def _run(
    loaded: LoadedModel,
    tokens: Tokens,
    add: OnCall,
    miss: OnUnseen | None,
    progress: Progress | None,
) -> None:
    """One forward pass whose attention calls are measured while it runs."""

    def measure(call: AttentionCall) -> None:
        if progress:
            progress(f"measuring {call.module}")
        add(call)

    if progress:
        progress(f"running {loaded.info.name}")
    with quiet(bars=False), capture(loaded.model, measure, miss):
        forward(loaded.model, tokens.ids)


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
    maps, notes = MaskMaps(), dict.fromkeys([loaded.remark] if loaded.remark else [])

    def miss(unseen: Unseen) -> None:
        if unseen.over(len(tokens)):
            notes[f"{unseen.module}: {unseen.reason}"] = None

    if progress:
        progress(f"running {loaded.info.name}")
    with quiet(bars=False), capture(loaded.model, maps.add, miss):
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
    _require_selection(loaded, selection)
    wrong = against == MULTIPLIED
    mask = everything() if against in {NO_MASK, MULTIPLIED} else parse(against).mask(size)
    change = multiplied if wrong else partial(under_mask, mask=mask)
    heads = ComparisonTally(change, torch.tensor(tokens.ids), loaded.info, selection)
    _run(loaded, tokens, heads.add, None, progress)
    head = heads.result()
    notes = [loaded.remark] if loaded.remark else []
    if head is None:
        notes.append("No such head could be recomputed, so none is compared.")
    whole = None
    if wrong:
        notes.append("The whole model is not run with multiplied scores: only one head is.")
    elif size < 2:
        notes.append("The prompt has a single token, so there is no next one to expect.")
    else:
        if progress:
            progress(f"running {loaded.info.name} with another mask")
        try:
            with quiet(bars=False):
                whole = compare_losses(subject_of(loaded), tokens.ids, mask, loaded.tokenizer)
        except CaptureError as error:
            notes.append(str(error))
    return Comparison(
        model=loaded.info, tokens=tokens, against=against, head=head, whole=whole,
        notes=tuple(notes),
    )  # fmt: skip


def require_mask(against: str) -> None:
    """Raise SelectionError for what `compare` cannot hold a model's masks against."""
    if against not in {NO_MASK, MULTIPLIED}:
        parse(against)


def verify(
    model: str | LoadOptions | LoadedModel = "fable",
    options: VerifyOptions | None = None,
    *,
    prompt: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge whether any token of a causal language model sees the future.

    `model` as for `trace`. Random tokens serve; `prompt` asks with a text of your own.
    The report's `outcome` and `exit_code` are the verdict; nothing is raised for a leak.

    Raises AttnscopeError when the model cannot be loaded or does not run.
    """
    options = options or VerifyOptions()
    origin = LoadOptions(model=model) if isinstance(model, str) else model
    loaded = _loaded(model, progress)
    if prompt is not None:
        options = replace(options, ids=tokenize(loaded, prompt).ids)
    return verify_model(
        loaded, options, progress, None if isinstance(origin, LoadedModel) else origin
    )


def _unused(loaded: LoadedModel) -> str:
    names, count = loaded.unused_weights, len(loaded.unused_weights)
    more = f" and {count - 3} more" if count > 3 else ""
    return (
        f"Weights of the checkpoint that this model has no place for: {', '.join(names[:3])}{more}."
    )


def _loaded(model: str | LoadOptions | LoadedModel, progress: Progress | None) -> LoadedModel:
    if isinstance(model, LoadedModel):
        return model
    return load(LoadOptions(model=model) if isinstance(model, str) else model, progress)


def _require_selection(loaded: LoadedModel, selection: Selection) -> None:
    """Tell a wrong layer or head before a large model runs, where their number is known."""
    for name, asked, count in (
        ("layer", selection.layer, loaded.info.layers),
        ("head", selection.head, loaded.info.heads),
    ):
        if asked is not None and count and not -count <= asked < count:
            raise SelectionError(
                f"{loaded.info.name} has no {name} {asked}.",
                f"Its {name}s are 0 to {count - 1}, or -1 to -{count} from the last.",
            )
