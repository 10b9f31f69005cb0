"""The library's front door."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Unpack

from transformers import PreTrainedModel

from attnscope.errors import LoadError
from attnscope.experiments.as_found import as_found
from attnscope.heads_options import AskedHeads, HeadsOptions
from attnscope.load import (
    LoadedModel,
    LoadOptions,
    Progress,
    load,
    tokenize,
    tokens_of,
)
from attnscope.load.factory import names_factory
from attnscope.load.own import Feeding, OwnModel, load_own, loaded_from
from attnscope.load.parallel import require_whole, together
from attnscope.measure.run import RunTally, Selection
from attnscope.passes import heads_of, require_places, run_once
from attnscope.records import (
    Heads,
    Tokens,
    Trace,
)
from attnscope.report import Report
from attnscope.verification import Asking, VerifyOptions, verify_model

AnyModel = str | LoadOptions | LoadedModel | OwnModel | Callable[..., Any]
"""What can be verified; every `torch.nn.Module` is a callable."""


class Asked(Feeding, Asking, total=False):
    """The keywords of `verify`: the fields of `OwnModel` and of `VerifyOptions`."""


def trace(
    prompt: str | Sequence[int] | None = None,
    *,
    model: AnyModel = "fable",
    layer: int | None = None,
    head: int | tuple[int, ...] | None = None,
    query: int | str | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Run a prompt through a causal language model and show what its attention did.

    `model` as for `verify`; one of your own comes as an `OwnModel`. `prompt` is a text, or token
    ids; without one the model's own default is read. `layer`, `head` (or several) and `query`
    choose what is shown in full; left out, the most telling head and the last token. What comes
    back holds plain tensors and numbers: `trace.hand.weights`, `trace.view.weights`.

    Raises AttnscopeError (LoadError, PromptError, SelectionError, CaptureError).
    """
    loaded = _loaded(model, progress)
    tokens = _tokens(loaded, prompt)
    selection = Selection(layer=layer, head=head, query=query)
    with _somebodys(model, loaded):
        return trace_tokens(loaded, tokens, selection, progress=progress)


def heads(
    prompt: str | Sequence[int] | None = None,
    options: HeadsOptions | None = None,
    *,
    model: AnyModel = "fable",
    progress: Progress | None = None,
    **asked: Unpack[AskedHeads],
) -> Heads:
    """Where every head of a model looks: entropy, distance, sinks, induction, role.

    `model` and `prompt` as for `trace`; a text that is longer than the model's positions is read
    in windows. The fields of `HeadsOptions` are keywords here and replace what `options` says.
    `heads.table("entropy")` is a tensor (layer, head). Of a model that several processes share,
    `LoadOptions(tp_plan="auto")` under torchrun, each of them is given all heads.

    Raises AttnscopeError (LoadError, PromptError, SelectionError, CaptureError).
    """
    options = replace(options or HeadsOptions(), **asked)
    with together(model.tp_plan if isinstance(model, LoadOptions) else None):
        loaded = _loaded(model, progress)
        with _somebodys(model, loaded):
            tokens = _tokens(loaded, prompt, any_length=True)
            return heads_of(loaded, tokens, options, progress=progress)


def _somebodys(model: AnyModel, loaded: LoadedModel) -> AbstractContextManager[None]:
    """A model that somebody else holds too is left as it was found."""
    return nullcontext() if isinstance(model, str | LoadOptions) else as_found(loaded.model)


def _tokens(
    loaded: LoadedModel, prompt: str | Sequence[int] | None, *, any_length: bool = False
) -> Tokens:
    ids = None if prompt is None or isinstance(prompt, str) else list(prompt)
    text = prompt if isinstance(prompt, str) else None
    return tokens_of(loaded, text, ids, any_length=any_length)


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
    require_whole(loaded.model, loaded.info.name)
    require_selection(loaded, selection)
    run = RunTally(loaded.info, tokens, selection)
    if loaded.unused_weights:
        run.note(_unused(loaded))
    run_once(loaded, tokens.ids, run.add, run.miss, progress)
    return run.result()


def verify(
    model: AnyModel = "fable",
    options: VerifyOptions | None = None,
    *,
    prompt: str | None = None,
    progress: Progress | None = None,
    **given: Unpack[Asked],
) -> Report:
    """Judge whether any position of a sequence model sees the future.

    `model` is a bundled name, a directory or a hub id, `LoadOptions`, a `LoadedModel`, a causal
    language model of transformers, or any `torch.nn.Module` or callable that maps token ids, shape
    (batch, time), or numbers, shape (batch, time, features), to (batch, time, ...). For the last
    say what it reads, `vocab_size=` or `example=`, and where it takes more than `model(inputs)`,
    how it is called: see `OwnModel`, whose fields are keywords here. So are those of
    `VerifyOptions`; they replace what `options` says.

    The report's `outcome` and `exit_code` are the verdict; nothing is raised for a leak. A model
    in memory is judged in eval mode, without gradients, where it is and as it is: modes, buffers,
    hooks, backends and random states are as before afterwards, whatever happens. Random tokens
    serve; `prompt` asks with a text, for models with a tokenizer.

    Raises AttnscopeError when the model cannot be loaded or does not run, and TypeError for a
    keyword that is none.
    """
    fed, asked = _told_apart(given)
    options = replace(options or VerifyOptions(), **asked)
    if isinstance(model, str | LoadOptions | LoadedModel):
        if fed:
            raise LoadError(f"{next(iter(fed))}= is for models of your own.", "Leave it out.")
        origin = LoadOptions(model=model) if isinstance(model, str) else model
        loaded = _loaded(model, progress)
        source = None if isinstance(origin, LoadedModel) else origin
        if source is not None and names_factory(source.model):
            source = None  # no script can make it anew
    else:
        loaded, source = in_memory(model, fed), None
    if prompt is not None:
        options = replace(options, ids=tokenize(loaded, prompt).ids)
    with _somebodys(model, loaded):
        return verify_model(loaded, options, progress, source)


def in_memory(
    model: OwnModel | Callable[..., Any], fed: Mapping[str, Any] = MappingProxyType({})
) -> LoadedModel:
    """A model in memory, neither copied nor moved.

    A causal language model of transformers is known by its config, unless `fed`, fields of
    `OwnModel`, says how it is called. Raises LoadError when it is not known what it reads.
    """
    if isinstance(model, OwnModel):
        return load_own(replace(model, **fed))
    theirs: Any = model if isinstance(model, PreTrainedModel) and not fed else None
    if theirs is not None and theirs.get_output_embeddings() is not None:
        return loaded_from(theirs)
    return load_own(OwnModel(model=model, **fed))


def _told_apart(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """How a model is fed, and what it is asked."""
    feeding = {one.name for one in fields(OwnModel)} - {"model"}
    asking = {one.name for one in fields(VerifyOptions)}
    for name in given.keys() - feeding - asking:
        near = difflib.get_close_matches(name, [*feeding, *asking], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"verify() got an unexpected keyword argument {name!r}.{hint}")
    fed = {name: value for name, value in given.items() if name in feeding}
    return fed, {name: value for name, value in given.items() if name in asking}


def _unused(loaded: LoadedModel) -> str:
    names, count = loaded.unused_weights, len(loaded.unused_weights)
    more = f" and {count - 3} more" if count > 3 else ""
    return (
        f"Weights of the checkpoint that this model has no place for: {', '.join(names[:3])}{more}."
    )


def _loaded(model: AnyModel, progress: Progress | None) -> LoadedModel:
    if isinstance(model, LoadedModel):
        return model
    if not isinstance(model, str | LoadOptions):
        return in_memory(model)
    return load(LoadOptions(model=model) if isinstance(model, str) else model, progress)


def require_selection(loaded: LoadedModel, selection: Selection) -> None:
    """Tell a wrong layer or head before a large model runs, where their number is known.

    Raises SelectionError.
    """
    require_places(loaded, "layer", () if selection.layer is None else (selection.layer,))
    require_places(loaded, "head", selection.heads)
