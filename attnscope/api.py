"""The library's front door."""

from __future__ import annotations

from dataclasses import replace

from attnscope.capture import capture
from attnscope.capture.runs import forward
from attnscope.capture.session import OnCall, OnUnseen
from attnscope.errors import SelectionError
from attnscope.load import LoadedModel, LoadOptions, Progress, load, tokenize
from attnscope.load.quiet import quiet
from attnscope.measure.run import RunTally, Selection
from attnscope.records import (
    AttentionCall,
    Tokens,
    Trace,
)
from attnscope.report import Report
from attnscope.verification import VerifyOptions, verify_model


def trace(
    prompt: str | None = None,
    *,
    model: str | LoadOptions | LoadedModel = "fable",
    layer: int | None = None,
    head: int | tuple[int, ...] | None = None,
    query: int | str | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Run a prompt through a causal language model and show what its attention did.

    `model` is a bundled name, a directory or a hub id, or a
    `LoadOptions`, or what `attnscope.load.load` returned.
    Without a prompt the model's own default is read. `layer`, `head` (or several) and `query`
    choose what is shown in full; left out, the most telling head and the last token.

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
    require_selection(loaded, selection)
    run = RunTally(loaded.info, tokens, selection)
    if loaded.unused_weights:
        run.note(_unused(loaded))
    run_once(loaded, tokens, run.add, run.miss, progress)
    return run.result()


def run_once(
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


def require_selection(loaded: LoadedModel, selection: Selection) -> None:
    """Tell a wrong layer or head before a large model runs, where their number is known.

    Raises SelectionError.
    """
    layers = () if selection.layer is None else (selection.layer,)
    for name, asked, count in (
        ("layer", layers, loaded.info.layers),
        ("head", selection.heads, loaded.info.heads),
    ):
        wrong = [one for one in asked if count and not -count <= one < count]
        if wrong:
            raise SelectionError(
                f"{loaded.info.name} has no {name} {wrong[0]}.",
                f"Its {name}s are 0 to {count - 1}, or -1 to -{count} from the last.",
            )
