"""What a live model is like, told from its modules, its config and its source."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from torch import nn

_HANDS_POSITIONS = re.compile(
    r"(create_\w*mask\(|mask_function\(|mask_kwargs = \{)[^{}()]*(\([^()]*\)[^{}()]*)*position_ids"
)
"""A call of the mask builder, or the arguments for it, with position ids among them."""


_TABLE = re.compile(r"^wpe$|(^|_)pos(ition)?s?($|_)|positional")
"""Names of modules that look positions up."""


def builds_masks(model: nn.Module) -> bool:
    """True when the model's code hands its position ids to transformers' mask builder."""
    sources = {type(one).__module__ for one in model.modules() if hasattr(one, "config")}
    return any(
        _HANDS_POSITIONS.search(_source(name))
        for name in sources
        if hasattr(sys.modules.get(name), "create_causal_mask")
    )


def _source(name: str) -> str:
    try:
        return inspect.getsource(sys.modules[name])
    except (OSError, TypeError):  # made in memory: it is held to what others promise
        return "mask_function(position_ids"


def routes(model: nn.Module) -> bool:
    """True for models with experts."""
    names = (type(one).__name__.lower() for one in model.modules())
    return any("expert" in name or "moe" in name for name in names)


def looks_positions_up(model: nn.Module) -> bool:
    """True when positions are rows of a table."""
    return any(_TABLE.search(name.rpartition(".")[2]) for name, _ in model.named_modules())


def depends_on_length(config: Any) -> bool:
    """True when the rotary encoding is stretched by the length of the input."""
    text = config.get_text_config(decoder=True)
    fields = (getattr(text, name, None) for name in ("rope_parameters", "rope_scaling"))
    found = " ".join(str(field) for field in fields)
    return "dynamic" in found or "longrope" in found
