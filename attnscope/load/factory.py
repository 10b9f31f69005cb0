"""`package.module:factory`: a model that a function of the user's own makes."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from attnscope.errors import AttnscopeError, LoadError
from attnscope.load.device import choose_device
from attnscope.load.failures import one_line
from attnscope.load.loaded import LoadedModel
from attnscope.load.options import LoadOptions
from attnscope.load.own import OwnModel, load_own, loaded_from
from attnscope.load.quiet import quiet

_NAMED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def names_factory(name: str) -> bool:
    """True for `package.module:factory`; a directory of that name comes first."""
    return _NAMED.fullmatch(name) is not None and not Path(name).exists()


def load_factory(options: LoadOptions) -> LoadedModel:
    """Import the module, from the working directory too, and call the factory without arguments.

    It returns an `OwnModel`, a model of transformers, or any module; the last needs
    `options.vocab_size`. A module or an `OwnModel` in place of a function is taken as it is.

    Raises LoadError, with the module's own reason, for whatever goes wrong.
    """
    _require_plain(options)
    made = _made(options.model)
    if isinstance(made, PreTrainedModel):
        made = _moved(made, options)
        return _named(loaded_from(made), options.model)
    if not isinstance(made, OwnModel) and not callable(made):
        raise LoadError(
            f"{options.model} returned {type(made).__name__}, which is no model.",
            "It should return an attnscope.OwnModel, or a torch.nn.Module.",
        )
    own = made if isinstance(made, OwnModel) else OwnModel(model=made)
    if isinstance(own.model, nn.Module):
        own = replace(own, model=_moved(own.model, options))
    if own.vocab_size is None and own.example is None:
        own = replace(own, vocab_size=options.vocab_size)
    if own.vocab_size is None and own.example is None:
        raise LoadError(
            f"It is not known what {options.model} reads.",
            "Pass --vocab-size, or return attnscope.OwnModel(model=..., example=...).",
        )
    return _named(load_own(own), options.model)  # two factories may call theirs the same


def _require_plain(options: LoadOptions) -> None:
    for option, given in (
        ("--revision", options.revision),
        ("--device-map", options.device_map),
        ("--tp-plan", options.tp_plan),
        ("--weights random", options.weights == "random"),
    ):
        if given:
            raise LoadError(f"{option} is not for {options.model}.", "Its factory decides that.")


def _made(name: str) -> Any:
    module_name, _, path = name.partition(":")
    with _apart(), _told(f"{module_name} cannot be imported"):
        found: Any = importlib.import_module(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            raise LoadError(f"{module_name} has no {path}.", "Say package.module:factory.")
        found = getattr(found, part)
    if isinstance(found, OwnModel | nn.Module):
        return found
    if not callable(found):
        raise LoadError(
            f"{name} is {type(found).__name__}, which makes no model.",
            "Name a function that returns one.",
        )
    make: Callable[[], Any] = found
    with _apart(), _told(f"{name} failed"):
        return make()


@contextmanager
def _apart() -> Iterator[None]:
    """With the working directory in Python's path, as for a script in it. What is printed goes to
    stderr, and directory and stdout are as they were afterwards.
    """
    here = Path.cwd()
    with importable(here), chdir(here), quiet(bars=False):
        yield


@contextmanager
def importable(directory: Path) -> Iterator[None]:
    """With a directory in Python's path, first; as before on the way out."""
    here = str(directory)
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except AttnscopeError:
        raise
    except Exception as error:  # whatever the user's code raises
        words = f"{type(error).__name__}: {one_line(error)}"
        raise LoadError(f"{what} ({words}).", "Set ATTNSCOPE_TRACEBACK=1 to see where.") from error


def _moved(model: Any, options: LoadOptions) -> Any:
    """On the device and in the dtype that were named; else where the factory put it."""
    if options.device != "auto":
        model = model.to(choose_device(options.device))
    if options.dtype != "auto":
        model = model.to(getattr(torch, options.dtype))
    return model.eval()


def _named(loaded: LoadedModel, name: str) -> LoadedModel:
    return replace(loaded, info=replace(loaded.info, name=name))
