"""See what every attention head attends to, and prove that no token sees the future."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnscope.api import heads, trace, trace_tokens, verify
    from attnscope.errors import AttnscopeError, LeakError, UncheckedError
    from attnscope.load import LoadedModel, LoadOptions
    from attnscope.load.own import OwnModel
    from attnscope.measure.run import Selection
    from attnscope.report import Report
    from attnscope.verification import VerifyOptions

__version__ = "0.1.0"

__all__ = [
    "AttnscopeError",
    "LeakError",
    "LoadOptions",
    "LoadedModel",
    "OwnModel",
    "Report",
    "Selection",
    "UncheckedError",
    "VerifyOptions",
    "__version__",
    "heads",
    "trace",
    "trace_tokens",
    "verify",
]

_HOMES = {
    "AttnscopeError": "attnscope.errors",
    "LeakError": "attnscope.errors",
    "LoadOptions": "attnscope.load",
    "LoadedModel": "attnscope.load",
    "OwnModel": "attnscope.load.own",
    "Report": "attnscope.report",
    "Selection": "attnscope.measure.run",
    "UncheckedError": "attnscope.errors",
    "VerifyOptions": "attnscope.verification",
    "heads": "attnscope.api",
    "trace": "attnscope.api",
    "trace_tokens": "attnscope.api",
    "verify": "attnscope.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import attnscope` needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'attnscope' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
