"""A model that transformers does not know: what it reads, and how it is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict, TypeGuard

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from attnscope.errors import LoadError
from attnscope.load.describe import describe
from attnscope.load.loaded import LoadedModel
from attnscope.load.reachable import reachable_modules
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
    _require_inputs(own, called)
    beside = _beside(hooks, module)
    if own.example is not None and own.example.is_floating_point():
        alphabet, ids = _alphabet(own.example)
        words = range(len(alphabet))
        return StandIn(
            module, hooks, vocabulary=words, alphabet=alphabet, example=ids, beside=beside
        )
    read = None if own.example is None else own.example[0].cpu()
    known = range(own.vocab_size or 0) if read is None else sorted(set(read.tolist()))
    vocabulary = tuple(range(own.vocab_size) if own.vocab_size else known)
    if len(vocabulary) < 2:
        raise LoadError("There is one token id only.", "Pass vocab_size= of at least 2.")
    return StandIn(module, hooks, vocabulary=vocabulary, example=read, beside=beside)


def _require_inputs(own: OwnModel, called: str) -> None:
    """Tell by LoadError what is missing or cannot be read."""
    example, size = own.example, own.vocab_size
    if example is None and size is None:
        raise LoadError(
            f"It is not known what {called} reads.",
            "Pass vocab_size= for token ids, or example= with a tensor of numbers.",
        )
    if size is not None and (type(size) is not int or size < 1):
        raise LoadError(f"vocab_size={size!r} is no number of token ids.", "Pass a whole number.")
    if example is None:
        return
    if not isinstance(example, Tensor) or example.ndim < 2 or not example.numel():
        raise LoadError(
            f"The example of {called} is no batch of sequences.",
            "Pass a tensor of shape (batch, time, ...).",
        )
    ids = not example.is_floating_point()
    if ids and (example.ndim > 2 or example.is_complex() or example.dtype == torch.bool):
        kind = str(example.dtype).removeprefix("torch.")
        raise LoadError(
            f"An example of {kind} of shape {tuple(example.shape)} is neither ids nor numbers.",
            "Pass ids (batch, time), or floats (batch, time, ...) and make of them what the model"
            " reads in call=.",
        )
    if not ids and size is not None:
        raise LoadError(
            "vocab_size= is for token ids, and the example holds numbers.", "Leave one out."
        )


def _beside(hooks: Hooks, module: nn.Module) -> dict[str, nn.Module] | None:
    """The modules that the hooks know without being given them; None where they know none."""
    own = {id(one) for one in module.modules()}
    found: dict[str, nn.Module] = {}
    known = False
    for hook in (hooks.call, hooks.prefill, hooks.step, hooks.padded):
        for name, one in reachable_modules(hook).items():
            known = True
            if id(one) not in own:
                found.setdefault(name, one)
    return found if known else None


def _alphabet(example: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (word, *feature): those of the example's first row, each once, and others drawn with
    the example's mean and spread; and the row as ids (time,).
    """
    row = example[0].detach()
    words, ids = torch.unique(row.flatten(1) if row.ndim > 1 else row, dim=0, return_inverse=True)
    words = words.reshape(-1, *row.shape[1:])
    rows = example.detach().flatten(0, 1).double()
    mean, spread = rows.mean(dim=0), rows.std(dim=0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((DRAWN, *rows.shape[1:]), generator=generator, dtype=torch.float64)
    drawn = mean + spread * noise.to(rows.device)
    return torch.cat([words, drawn.to(example.dtype)]), ids.cpu()


def _module(own: OwnModel) -> tuple[nn.Module, Callable[..., Any], str]:
    """The module that holds what can be watched, how it is called, and its name."""
    model: Any = own.model
    if isinstance(model, nn.Module):
        _require_watchable(model)
        return model, _plain, type(model).__name__
    if not callable(model):
        raise LoadError(
            f"{type(model).__name__} is no model.", "Pass a torch.nn.Module or a callable."
        )
    holder = getattr(model, "__self__", None)
    if isinstance(holder, nn.Module):  # a method
        return holder, model.__func__, type(holder).__name__
    if isinstance(model, type):
        name = model.__name__
        raise LoadError(f"{name} is a class.", f"Pass an instance: {name}(...).")
    if isinstance(model, functools.partial) and isinstance(model.func, nn.Module):
        args, kwargs = model.args, model.keywords
        name = type(model.func).__name__
        return model.func, lambda module, inputs: module(*args, inputs, **kwargs), name
    name = getattr(model, "__name__", type(model).__name__)
    return Function(model), _plain, "function" if name == "<lambda>" else name


def _require_watchable(model: nn.Module) -> None:
    if any(isinstance(one, torch.jit.ScriptModule) for one in model.modules()):
        raise LoadError(
            f"{type(model).__name__} is compiled by torch.jit: what runs inside cannot be watched.",
            "Pass the model as it was before.",
        )
    if any(one.is_meta for one in (*model.parameters(), *model.buffers())):
        raise LoadError(f"{type(model).__name__} is on the meta device: it holds no numbers.")


def _plain(module: nn.Module, inputs: Tensor) -> Any:
    return module(inputs)


class Function(nn.Module):
    """A function as a module, with the modules that it knows as its children.

    It cannot be copied: the function would go on calling the modules that it knows.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function
        for name, module in reachable_modules(function).items():
            self.add_module(name, module)

    def forward(self, inputs: Tensor) -> Any:
        """What the function returns."""
        return self._function(inputs)

    def __deepcopy__(self, memo: Any) -> Function:
        raise TypeError("a function cannot be copied with its modules")


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
