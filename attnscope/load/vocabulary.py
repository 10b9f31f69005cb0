"""Which token ids may stand anywhere in a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def usable_ids(model: Any, tokenizer: Any, rows: int) -> list[int]:
    """Every id but special ones and placeholders for images and the like, in order.

    Of a vocabulary so small that fewer than two remain, all.
    """
    special: set[int] = set(getattr(tokenizer, "all_special_ids", None) or ())
    for config in _configs(model.config):
        for name, value in vars(config).items():
            if name.endswith(("_token_id", "_token_index", "_token_ids")):
                special.update(value if isinstance(value, list | tuple) else [value])
    left = [one for one in range(rows) if one not in special]
    return left if len(left) >= 2 else list(range(rows))


def _configs(config: Any) -> Iterator[Any]:
    yield config
    for name in getattr(config, "sub_configs", None) or ():
        if (nested := getattr(config, name, None)) is not None:
            yield from _configs(nested)
