"""From a bundled name, a directory or a hub id to a model, and from a prompt to its tokens."""

from attnscope.load.loaded import LoadedModel, Progress
from attnscope.load.model import load
from attnscope.load.options import LoadOptions
from attnscope.load.source import BUNDLED
from attnscope.load.tokens import any_tokens, padded, tokenize, tokens_from_ids, tokens_of

__all__ = [
    "BUNDLED",
    "LoadOptions",
    "LoadedModel",
    "Progress",
    "any_tokens",
    "load",
    "padded",
    "tokenize",
    "tokens_from_ids",
    "tokens_of",
]
