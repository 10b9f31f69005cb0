"""Asserting in a test that no token of a model sees the future.

`attnscope.pytest_plugin` brings `assert_causal` to pytest as a fixture; nothing here needs pytest.
Importing this module imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnscope.report import Report

__all__ = ["assert_causal"]

recorders: list[list[Report]] = []
"""Where reports are kept besides: the last list of it gets each. Empty outside of pytest sessions
that asked for it."""


def assert_causal(model: Any, options: Any = None, **given: Any) -> Report:
    """Judge a model as `attnscope.verify` does, with the same arguments; the report on a pass.

    `model` is a name, a directory, a hub id, or a model in memory; `options` a `VerifyOptions`;
    `given` all that `attnscope.verify` takes as keywords, such as `backends=("sdpa",)`.

    Raises AssertionError with at most 12 lines for a finding, and likewise where nothing could be
    checked or the checker itself failed: neither is a causal model. Raises AttnscopeError when the
    model cannot be loaded or does not run.
    """
    __tracebackhide__ = True
    import attnscope
    from attnscope.errors import AttnscopeError, CaptureError

    try:
        report = attnscope.verify(model, options, **given)
    except AttnscopeError as error:
        # The message says it all, but for the line of a model's own code that failed. What this
        # package and transformers were doing meanwhile is no news to whoever wrote the test.
        cause = error.__cause__ if isinstance(error, CaptureError) else None
        raise error.with_traceback(None) from cause
    if recorders:
        recorders[-1].append(report)
    if report.outcome != "pass":
        raise AssertionError(str(report))
    return report
