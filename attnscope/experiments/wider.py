"""Arithmetic in float64 throughout, also where a model's code asks for float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

WIDER = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
}
"""What is computed in place of what is asked for."""

CASTS = frozenset({"float", "half", "bfloat16"})
"""Methods of a tensor that are named after a dtype."""


class Wider(TorchFunctionMode):
    """While entered, no torch function narrows numbers, and new ones are float64: a Fourier
    transform is often upcast to float32 by name, and in a float64 copy that would be a downcast.
    """

    def __enter__(self) -> Any:
        """Enter the mode; what has no dtype by name is float64."""
        self._default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *details: Any) -> None:
        """Leave it, with the default dtype as before."""
        torch.set_default_dtype(self._default)
        super().__exit__(*details)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function with wider dtypes among its arguments."""
        if getattr(func, "__name__", "") in CASTS:
            return Tensor.double(args[0])
        wider = {name: _widened(one) for name, one in (kwargs or {}).items()}
        return func(*map(_widened, args), **wider)


def _widened(value: Any) -> Any:
    return WIDER.get(value, value) if isinstance(value, torch.dtype) else value
