"""What is known about tensors, for as long as they live and nobody changes them behind our back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_NAMED = (
    "condition", "input", "self", "tensors", "other", "batch1", "mat1", "batch2", "mat2", "mask",
    "value",
)  # fmt: skip
"""Operands that may be given by name, in the order in which torch's functions take them."""


class Found(dict[int, Any]):
    """What was known of a call's operands before it ran, which may have changed them in place."""

    def __contains__(self, tensor: object) -> bool:
        """True for an operand with a meaning."""
        return isinstance(tensor, Tensor) and super().__contains__(id(tensor))

    def first(self) -> Any:
        """The meaning of the first operand that had one, else None."""
        return next(iter(self.values()), None)


class Tracked:
    """A meaning for each tensor that has one.

    A meaning is forgotten when the tensor was changed in place since it was noted: torch counts
    such changes, through views as well.
    """

    def __init__(self) -> None:
        self._meanings: Any = WeakTensorKeyDictionary()

    def note(self, tensor: Tensor, meaning: Any) -> None:
        """Remember what a tensor means now; None: nothing that is understood."""
        if meaning is None:
            self._meanings.pop(tensor, None)
        else:
            self._meanings[tensor] = (_version(tensor), meaning)

    def among(self, arguments: Iterable[Any]) -> Found:
        """The meanings of the tensors among the arguments, in their order."""
        found = Found()
        for tensor in tensors_in(arguments):
            version, meaning = self._meanings.get(tensor, (None, None))
            if meaning is not None and version == _version(tensor):
                found[id(tensor)] = meaning
        return found

    def forget(self, arguments: Iterable[Any]) -> None:
        """Forget what these tensors meant."""
        for tensor in tensors_in(arguments):
            self._meanings.pop(tensor, None)


def operands(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The positional arguments, with the operands that were given by name after them."""
    named = [kwargs[name] for name in _NAMED if name in kwargs]
    return (*args, *named) if named else args


def tensors_in(arguments: Iterable[Any]) -> Iterable[Tensor]:
    """The tensors among the arguments, and in lists and tuples among them."""
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, tuple | list):
            yield from (item for item in argument if isinstance(item, Tensor))


def _version(tensor: Tensor) -> int:
    """Count of in-place changes; tensors made in inference mode have none."""
    return -1 if tensor.is_inference() else tensor._version
