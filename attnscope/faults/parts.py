"""The parts of a model that leaks are planted into, told by their code and their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from attnscope.capture.modules import ModuleStack
from attnscope.declared import Declared, declare

Named = tuple[str, nn.Module]
"""A module with its qualified name."""

_FEED_FORWARD = ("mlp", "feed_forward", "ffn", "block_sparse_moe")
_RECURRENT = ("conv", "mamba", "mixer", "linear_attn", "short_conv")
_TORCH_NORMS = (nn.LayerNorm, nn.RMSNorm)


def attentions(model: nn.Module) -> list[Named]:
    """Attention that runs through transformers' interface, first layer first."""
    return [(name, one) for name, one in model.named_modules() if _at_interface(one)]


def windowed(model: nn.Module) -> list[Named]:
    """Those of them whose layer has a window or chunk."""
    return [(name, one) for name, one in attentions(model) if window(model, name)]


def window(model: Any, name: str) -> int:
    """The size of a layer's window or chunk; 0 where there is none."""
    known, layer = declared(model), ModuleStack(model).layer(name)
    inside = layer is not None and layer < len(known)
    return known[layer].size if inside and layer is not None and known[layer].narrow else 0


def declared(model: Any) -> tuple[Declared, ...]:
    """What each layer may see, by the config."""
    return declare(model.config.get_text_config(decoder=True), len(layers(model)))


def layers(model: nn.Module) -> list[Named]:
    """The stack of layers: the longest list of modules, the outermost of equals."""
    lists = [(name, one) for name, one in model.named_modules() if isinstance(one, nn.ModuleList)]
    if not lists:
        return []
    name, stack = max(lists, key=lambda pair: len(pair[1]))
    return [(f"{name}.{number}", layer) for number, layer in enumerate(stack)]


def feed_forwards(model: nn.Module) -> list[Named]:
    """Each layer's feed-forward part."""
    return _children(model, lambda name, module: name in _FEED_FORWARD)


def experts(model: nn.Module) -> list[Named]:
    """Feed-forward parts that choose among experts."""
    return [(name, one) for name, one in feed_forwards(model) if hasattr(one, "experts")]


def norms(model: nn.Module) -> list[Named]:
    """Each layer's norms that are of the model's own class."""
    return _children(
        model,
        lambda name, module: (
            "Norm" in type(module).__name__ and not isinstance(module, _TORCH_NORMS)
        ),
    )


def last_first_norm(model: nn.Module) -> Named:
    """The first norm of the last layer that has any."""
    found = norms(model)
    last = ModuleStack(model).layer(found[-1][0])
    return next(pair for pair in found if ModuleStack(model).layer(pair[0]) == last)


def convolutions(model: nn.Module) -> list[Named]:
    """Mixers with a convolution over positions."""
    return [
        (name, one)
        for name, one in model.named_modules()
        if any(isinstance(child, nn.Conv1d) and child.padding != (0,) for child in one.children())
    ]


def recurrent(model: nn.Module) -> list[Named]:
    """Mixers that are no attention at transformers' interface: state spaces and convolutions."""
    return _children(model, lambda name, module: name in _RECURRENT and not _at_interface(module))


def declared_exactly(model: Any, name: str) -> bool:
    """True when all that a layer may see is declared to be seen."""
    known, layer = declared(model), ModuleStack(model).layer(name)
    return layer is not None and layer < len(known) and known[layer].exact


def attends_only(model: nn.Module) -> bool:
    """True when each layer mixes positions by attention at the interface and nothing else.

    Convolutions inside attention are part of it; Inkling has others between its parts.
    """
    inside = [name for name, _ in attentions(model)]
    between = [
        name
        for name, _ in convolutions(model)
        if not any(f"{name}.".startswith(f"{one}.") for one in inside)
    ]
    return bool(inside) and not recurrent(model) and not between


def packs(model: Any) -> bool:
    """True when position ids alone separate documents."""
    from attnscope.capture.traits import builds_masks

    return attends_only(model) and takes(model, "position_ids") and builds_masks(model)


def takes(model: Any, *arguments: str) -> bool:
    """True when the model's forward has these arguments."""
    return set(arguments) <= set(inspect.signature(model.forward).parameters)


def backend(model: Any) -> str:
    """The attention implementation that the model is switched to."""
    return str(model.config._attn_implementation)


def _at_interface(module: nn.Module) -> bool:
    forward = type(module).forward
    if "ttention" not in type(module).__name__ or isinstance(module, nn.ModuleList):
        return False
    try:
        return "ALL_ATTENTION_FUNCTIONS" in inspect.getsource(inspect.unwrap(forward))
    except (OSError, TypeError):  # classes made at run time
        return False


def _children(model: nn.Module, wanted: Callable[[str, nn.Module], bool]) -> list[Named]:
    return [
        (f"{prefix}.{name}", module)
        for prefix, layer in layers(model)
        for name, module in layer.named_children()
        if wanted(name, module)
    ]
