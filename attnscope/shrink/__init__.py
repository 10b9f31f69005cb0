"""A language model's config made small with its structure kept, and a model built from it.

What counts as structure: which kinds of layer there are, grouped key/value heads, windows, chunks,
experts, softcaps, sinks, the kind of position encoding. What counts as size is in `sizes`, and the
few model types that need more than the general rules are in `overrides`.
"""

from attnscope.shrink.configs import longest_window, shrink
from attnscope.shrink.sizes import HIDDEN, POSITIONS, VOCAB
from attnscope.shrink.weights import Maker, build

__all__ = ["HIDDEN", "POSITIONS", "VOCAB", "Maker", "build", "longest_window", "shrink"]
