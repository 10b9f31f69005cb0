"""Every operation of torch, moved in its last bit: what rounding does to a model of unknown making.

Modules tell too little there: a fused kernel calls none, a function may have none at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Stirring(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, what each operation returns is moved by up to one unit in the last place.

    Views and in-place operations are left alone: their numbers came from another one.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation, and stir what is new."""
        output = func(*args, **(kwargs or {}))
        if func._schema.is_mutable or any(one.alias_info for one in func._schema.returns):
            return output
        return _mapped(output, self._stirred)

    def _stirred(self, tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            pairs = torch.view_as_real(tensor.resolve_conj())
            return torch.view_as_complex(self._stirred(pairs))
        if not tensor.is_floating_point():
            return tensor
        noise = torch.rand(tensor.shape, generator=self._generator, dtype=torch.float64) * 2 - 1
        eps = torch.finfo(tensor.dtype).eps
        return (tensor.double() * (1 + eps * noise.to(tensor.device))).to(tensor.dtype)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(one, change) for one in value)
    return value
