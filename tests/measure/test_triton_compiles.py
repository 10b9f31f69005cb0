"""The kernels compile for GPUs, without one: the interpreter takes what the compiler may not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from attnscope.measure import triton_rows

triton = pytest.importorskip("triton", reason="triton is not installed")

TYPES = {torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.float32: "*fp32"}
AMPERE, HOPPER = 80, 90


def compiled(name: str, dtype: torch.dtype, width: int, capability: int) -> object:
    """One kernel as `triton_rows` would have it for such queries."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from attnscope.measure import triton_kernels

    kernel = getattr(triton_kernels, name)
    query = torch.zeros(2, 16, width, dtype=dtype)
    work = triton_rows._Work(query, query, 1.0, 1.0, triton_rows._tiles(query))
    options = work._constants(32 if name == "places_kernel" else work.tiles.held)
    constants = {"STREAMED": work.tiles.streamed, "rows": 1, "group": 1}  # ones are constants
    constants |= {key: options.pop(key) for key in list(options) if key.isupper()}
    given = {key: value for key, value in constants.items() if key in kernel.arg_names}
    types = {
        **dict.fromkeys(("query", "key"), TYPES[dtype]),
        **dict.fromkeys(("low", "high", "ids", "before", "bounds"), "*i32"),
        **dict.fromkeys(("probes", "sums", "total", "received"), "*fp32"),
        **dict.fromkeys(("scale", "cap"), "fp32"),
        **dict.fromkeys(given, "constexpr"),
    }
    signature = {argument: types.get(argument, "i32") for argument in kernel.arg_names}
    source = ASTSource(kernel, signature, given)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "width", "capability"),
    [
        (torch.bfloat16, 64, HOPPER),
        (torch.bfloat16, 256, HOPPER),
        (torch.float16, 80, AMPERE),
        (torch.float32, 128, AMPERE),
    ],
)
@pytest.mark.parametrize("name", ["sums_kernel", "places_kernel", "received_kernel"])
def test_compiles(
    name: str,
    dtype: torch.dtype,
    width: int,
    capability: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = compiled(name, dtype, width, capability)
    assert kernel.asm["cubin"]
    assert kernel.metadata.shared <= 99 * 1024  # what consumer GPUs have
    products = ("mma.sync", "wgmma.mma")
    on_tensor_cores = any(product in kernel.asm["ptx"] for product in products)
    assert on_tensor_cores == (name != "places_kernel" and dtype != torch.float32)
