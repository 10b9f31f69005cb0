"""What goes wrong, told in one line: what, where, and what to do next."""

from __future__ import annotations


class AttnscopeError(Exception):
    """A failure that its reader can act on; the command line prints it as one line, exit code 2.

    `message` says what went wrong and where; `hint` says what to do next (may be empty).
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class LoadError(AttnscopeError):
    """The model, its tokenizer or its weights could not be loaded."""


class RankError(AttnscopeError):
    """One of several processes that share a model has failed, and not the one that prints."""


class ToldError(AttnscopeError):
    """Another of the processes that share a model has failed and told it: no more is to say."""

    def __init__(self) -> None:
        super().__init__("")


class PromptError(AttnscopeError):
    """The prompt cannot be turned into tokens that this model takes."""


class CaptureError(AttnscopeError):
    """The model ran, or should have run, but its attention could not be recorded."""


class SelectionError(AttnscopeError):
    """A layer, head or query was asked for that this run does not have."""


class OutputError(AttnscopeError):
    """The result could not be written where it was asked for."""


class BaselineError(AttnscopeError):
    """A baseline is no file of accepted findings, or cannot be read."""


class ProjectError(AttnscopeError):
    """A pyproject.toml asks for something that cannot be."""


class LeakError(AttnscopeError):
    """`Report.raise_for_leaks` met a finding."""


class UncheckedError(AttnscopeError):
    """`Report.raise_for_leaks` met a verdict that is none: not everything could be checked."""
