"""A model that transformers does not know: what it reads, and how it is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict, TypeGuard

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from attnscope.errors import LoadError
from attnscope.load.describe import describe
from attnscope.load.loaded import LoadedModel
from attnscope.load.stand_in import Hooks, StandIn

DRAWN = 61
"""Feature vectors that are drawn beside the example's own, to be swapped in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """Any `torch.nn.Module` or callable from a sequence to one output a position.

    Hooks are given the module as their first argument, because they also run on copies of it; a
    method of its class, such as `Net.step`, is one.
    """

    model: Callable[..., Any]
    """Maps token ids, shape (batch, time), or numbers, shape (batch, time) or (batch, time,
    features), to outputs of shape (batch, time, ...), alone or first in a tuple, or named
    `logits`."""
    vocab_size: int | None = None
    """For a model that reads token ids: they are drawn from 0 to this, exclusive."""
    example: Tensor | None = None
    """An input of shape (batch, time, ...), whose first row is the one asked about. Needed for a
    model that reads numbers: others are drawn with its mean and spread, feature by feature."""
    call: Callable[..., Any] | None = None
    """(model, inputs) -> outputs, where `model(inputs)` would not do."""
    prefill: Callable[..., Any] | None = None
    """(model, inputs) -> (outputs, state): reads a beginning and keeps what later steps need."""
    step: Callable[..., Any] | None = None
    """(model, inputs, state) -> (outputs, state): reads the next positions."""
    padded: Callable[..., Any] | None = None
    """(model, inputs, mask) -> outputs: a batch with padding, mask (batch, time) boolean and True
    for real positions."""
    name: str = ""
    """For reports; by default the name of its class."""


class Feeding(TypedDict, total=False):
    """The fields of `OwnModel` but the model, as keywords."""

    vocab_size: int | None
    example: Tensor | None
    call: Callable[..., Any] | None
    prefill: Callable[..., Any] | None
    step: Callable[..., Any] | None
    padded: Callable[..., Any] | None
    name: str


def loaded_from(model: PreTrainedModel) -> LoadedModel:
    """A model of transformers that is in memory already, as `attnscope.load.load` returns one."""
    name = model.name_or_path or type(model).__name__
    return LoadedModel(
        model=model,
        tokenizer=None,
        tokenizer_problem="a model in memory comes without one",
        info=describe(model, name),
        default_prompt="",
        unused_weights=(),
    )


def load_own(own: OwnModel) -> LoadedModel:
    """The model as the experiments take it; it is neither copied nor moved.

    Raises LoadError when it is no model, or when it is not said what it reads.
    """
    module, call, called = _module(own)
    if (own.prefill is None) != (own.step is None):
        raise LoadError("prefill and step go together.", "Give both, or neither.")
    hooks = Hooks(call=own.call or call, prefill=own.prefill, step=own.step, padded=own.padded)
    stand_in = _stand_in(own, module, hooks, called)
    info = describe(stand_in, own.name or called)
    return LoadedModel(
        model=stand_in,
        tokenizer=None,
        tokenizer_problem="a model of your own has no tokenizer",
        info=replace(info, architecture=called, layers=_layers(module)),
        default_prompt="",
        unused_weights=(),
        remark=""
        if stand_in.alphabet is None
        else f"it reads numbers: {DRAWN} vectors were drawn like the example's, to be swapped in.",
    )


def _stand_in(own: OwnModel, module: nn.Module, hooks: Hooks, called: str) -> StandIn:
    example = own.example
    if example is not None and (not isinstance(example, Tensor) or example.ndim < 2):
        raise LoadError(
            f"The example of {called} is no batch of sequences.",
            "Pass a tensor of shape (batch, time, ...).",
        )
    if example is not None and example.is_floating_point():
        alphabet = _alphabet(example)
        ids = torch.arange(example.shape[1])
        words = range(len(alphabet))
        return StandIn(module, hooks, vocabulary=words, alphabet=alphabet, example=ids)
    if example is None and own.vocab_size is None:
        raise LoadError(
            f"It is not known what {called} reads.",
            "Pass vocab_size= for token ids, or example= with a tensor of numbers.",
        )
    read = None if example is None else example[0].cpu()
    known = range(own.vocab_size or 0) if read is None else sorted(set(read.tolist()))
    vocabulary = tuple(range(own.vocab_size) if own.vocab_size else known)
    if len(vocabulary) < 2:
        raise LoadError("There is one token id only.", "Pass vocab_size= of at least 2.")
    return StandIn(module, hooks, vocabulary=vocabulary, example=read)


def _alphabet(example: Tensor) -> Tensor:
    """The example's first row, (time, *feature), and vectors drawn with the example's mean and
    spread.
    """
    rows = example.detach().flatten(0, 1).double()
    mean, spread = rows.mean(dim=0), rows.std(dim=0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((DRAWN, *rows.shape[1:]), generator=generator, dtype=torch.float64)
    drawn = mean + spread * noise.to(rows.device)
    return torch.cat([example[0].detach(), drawn.to(example.dtype)])


def _module(own: OwnModel) -> tuple[nn.Module, Callable[..., Any], str]:
    """The module that holds what can be watched, how it is called, and its name."""
    model: Any = own.model
    if isinstance(model, nn.Module):
        return model, _plain, type(model).__name__
    if not callable(model):
        raise LoadError(
            f"{type(model).__name__} is no model.", "Pass a torch.nn.Module or a callable."
        )
    holder = getattr(model, "__self__", None)
    if isinstance(holder, nn.Module):  # a method
        return holder, model.__func__, type(holder).__name__
    if isinstance(model, functools.partial) and isinstance(model.func, nn.Module):
        args, kwargs = model.args, model.keywords
        name = type(model.func).__name__
        return model.func, lambda module, inputs: module(*args, inputs, **kwargs), name
    name = getattr(model, "__name__", type(model).__name__)
    return Function(model), _plain, "function" if name == "<lambda>" else name


def _plain(module: nn.Module, inputs: Tensor) -> Any:
    return module(inputs)


class Function(nn.Module):
    """A function as a module, with the modules that it closes over as its children.

    It cannot be copied: the function would go on calling the modules that it knows.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function
        for name, module in _closed_over(function).items():
            self.add_module(name, module)

    def forward(self, inputs: Tensor) -> Any:
        """What the function returns."""
        return self._function(inputs)

    def __deepcopy__(self, memo: Any) -> Function:
        raise TypeError("a function cannot be copied with its modules")


def _closed_over(function: Any) -> dict[str, nn.Module]:
    try:
        known = inspect.getclosurevars(function)
    except TypeError:  # callable objects, builtins
        known = None
    values = vars(function) if known is None and hasattr(function, "__dict__") else {}
    if known is not None:
        values = {**known.globals, **known.nonlocals}
    taken = set(dir(nn.Module()))
    return {
        name if name not in taken else f"{name}_": one
        for name, one in values.items()
        if isinstance(one, nn.Module)
    }


def chains_layers(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """True for an `nn.Sequential` of several modules of one class, as stacks of layers are."""
    if not isinstance(module, nn.Sequential) or len(module) < 2:
        return False
    return len({type(part) for part in module.children()}) == 1


def _layers(module: nn.Module) -> int:
    """Modules in its longest list or chain of layers; 0 without one."""
    stacks = (one for one in module.modules() if isinstance(one, nn.ModuleList))
    chains = (one for one in module.modules() if chains_layers(one))
    return max((len(list(one.children())) for one in (*stacks, *chains)), default=0)
