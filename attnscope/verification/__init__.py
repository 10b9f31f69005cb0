"""The verdict: every check, in every condition, on every backend asked for."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from attnscope.experiments.switches import own_hooks
from attnscope.load import LoadedModel, LoadOptions, Progress, load
from attnscope.load.parallel import require_whole
from attnscope.load.quiet import quiet
from attnscope.report import Report
from attnscope.verification.backends import verify_backends
from attnscope.verification.options import Asking, VerifyOptions
from attnscope.verification.proving import prove
from attnscope.verification.run import Reload, prepare
from attnscope.verification.summary import summarise

__all__ = ["Asking", "VerifyOptions", "verify_model"]


def verify_model(
    loaded: LoadedModel,
    options: VerifyOptions,
    progress: Progress | None = None,
    origin: LoadOptions | None = None,
    reload: Reload | None = None,
) -> Report:
    """Ask every check, and judge. The model is as it was afterwards.

    `origin` is what it was loaded from, for the reproducer. `reload` gives the same model on a
    backend to which it cannot be switched once loaded; None loads `origin` again.

    Raises AttnscopeError when it cannot run at all, or not on a backend that was named.
    """
    started = time.monotonic()
    require_whole(loaded.model, loaded.info.name)
    if reload is None and origin is not None:
        reload = partial(_load_again, origin)
    with quiet(bars=False), own_hooks(loaded.model):
        run = prepare(loaded, options, progress or (lambda words: None), origin, reload)
        verify_backends(run)
        report = summarise(run)
        if options.prove and report.outcome == "pass":
            proven = prove(run)
            report = replace(
                report, proven=proven, forwards=run.cost.forwards, tokens=run.cost.tokens
            )
            if proven.caught < len(proven.planted):  # the checks cannot see well enough here
                words = "planted leaks were missed: this pass cannot be trusted."
                report = replace(report, outcome="skip", notes=(words, *report.notes))
    return replace(report, seconds=time.monotonic() - started)


def _load_again(origin: LoadOptions, backend: str) -> LoadedModel:
    return load(replace(origin, backend=backend))
