"""What each layer may see: causal, narrowed by the config, or as the user expects.

The declared visibility is what the evidence is held against. It is causal because the model was
loaded as a causal language model; a config narrows it per layer (a window, a chunk) or names
bidirectional layers; anything wider comes only from the user.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from attnscope.errors import SelectionError
from attnscope.masks import Mask, causal, chunked, everything, prefix, sliding

Kind = Literal["causal", "sliding", "chunked", "prefix", "bidirectional"]

_EXPECT = re.compile(r"(causal|bidirectional)|(sliding|chunked|prefix):([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one layer may see."""

    kind: Kind = "causal"
    """Shape of the visibility; sliding and chunked are causal too."""
    size: int = 0
    """Window (the query's own position counted), chunk or prefix, in tokens; else 0."""
    exact: bool = True
    """True when all of it is visible, so that seeing less is a defect too; False where a layer's
    design may pick among it (linear and sparse attention, state spaces)."""

    @property
    def words(self) -> str:
        """For reports: `sliding window of 8`."""
        return {
            "causal": "causal",
            "sliding": f"sliding window of {self.size}",
            "chunked": f"chunks of {self.size}",
            "prefix": f"prefix of {self.size}, then causal",
            "bidirectional": "bidirectional",
        }[self.kind] + ("" if self.exact else ", or less by design")

    @property
    def narrow(self) -> bool:
        """True where it is less than causal."""
        return self.kind in {"sliding", "chunked"}

    def mask(self, offset: int = 0) -> Mask:
        """As a mask; `offset` is the position of query 0 among the keys."""
        if self.kind == "bidirectional":
            return everything()
        if self.kind == "prefix":
            return causal(offset) | prefix(self.size)
        if self.kind == "sliding":
            return causal(offset) & sliding(self.size, offset)
        return causal(offset) & chunked(self.size, offset) if self.size else causal(offset)


def parse_expect(text: str, option: str = "--expect") -> Declared:
    """The visibility that a user expects: `causal`, `sliding:W`, `chunked:C`, `prefix:P` or
    `bidirectional`.

    Raises SelectionError, which names the option, for anything else.
    """
    found = _EXPECT.fullmatch(text.strip())
    if found is None:
        raise SelectionError(
            f"{option} {text[:40]} is not understood.",
            "Use causal, sliding:W, chunked:C, prefix:P or bidirectional, W, C and P in tokens.",
        )
    kind: Kind = found[1] or found[2]  # type: ignore[assignment]
    return Declared(kind=kind, size=int(found[3] or 0))


def declare(config: Any, layers: int) -> tuple[Declared, ...]:
    """One declared visibility a layer, from a text config's fields."""
    kinds = getattr(config, "layer_types", None)
    if isinstance(kinds, Sequence) and not isinstance(kinds, str) and len(kinds) >= layers:
        return tuple(_of_kind(str(kind), config) for kind in kinds[:layers])
    local = getattr(config, "attention_layers", None)  # GPT-Neo
    if isinstance(local, list | tuple) and len(local) >= layers:
        window = getattr(config, "window_size", 0)
        return tuple(
            Declared(kind="sliding", size=window) if kind == "local" else Declared()
            for kind in local[:layers]
        )
    return (Declared(exact=False) if _composite(config) else _without_kinds(config),) * layers


def _composite(config: Any) -> bool:
    """True for a config that counts no layers and is made of others: its layers may have windows
    of theirs.
    """
    counts = any(getattr(config, name, None) for name in COUNTS)
    return not counts and any(hasattr(one, "model_type") for one in vars(config).values())


COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""Names of the number of layers."""

ATTENDING = frozenset({"full_attention", "hybrid"})
"""Kinds of layer whose attention sees all that came before; a hybrid one has a state besides."""


def _of_kind(kind: str, config: Any) -> Declared:
    if kind == "sliding_attention":
        return _sliding(config)
    if kind == "chunked_attention":
        size = getattr(config, "attention_chunk_size", None)
        return Declared(kind="chunked", size=size) if size else Declared(exact=False)
    return _full(config) if kind in ATTENDING else Declared(exact=False)


def _full(config: Any) -> Declared:
    # "vision" and the like open blocks of image tokens only
    if getattr(config, "use_bidirectional_attention", None) in {True, "all"}:
        return Declared(kind="bidirectional")
    return Declared(exact=not _sparse(config))


def _sliding(config: Any) -> Declared:
    if getattr(config, "use_bidirectional_attention", None) in {True, "all"}:
        return Declared(kind="bidirectional", exact=False)
    window = getattr(config, "sliding_window", None)
    if not isinstance(window, int) or window <= 0:
        return Declared(exact=False)
    return Declared(kind="sliding", size=window, exact=not _sparse(config))


def _without_kinds(config: Any) -> Declared:
    window = getattr(config, "sliding_window", None)
    used = getattr(config, "use_sliding_window", True)
    return _sliding(config) if isinstance(window, int) and window > 0 and used else _full(config)


def _sparse(config: Any) -> bool:
    """True for layers that pick keys by content: indexers, block-sparse and hashed attention."""
    names = ("index_topk", "keep_window_size", "attn_layers", "local_attn_chunk_length")
    if any(getattr(config, name, None) for name in names):
        return True
    return str(getattr(config, "attention_type", "original_full")) == "block_sparse"
