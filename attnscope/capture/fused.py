"""`nn.MultiheadAttention` and `nn.TransformerEncoderLayer`, their fused fast path included.

In eval mode and without gradients these modules run one kernel for everything from the projections
to the last one. Its single heads are never seen, so they are computed here from what it was handed,
and the record is trusted only if the kernel's own output follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import gelu, layer_norm, linear, relu, scaled_dot_product_attention

from attnscope.capture.kernels import replaced
from attnscope.capture.received import Received
from attnscope.masks import dense, everything

FUSED = frozenset({"_native_multi_head_attention", "_transformer_encoder_layer_fwd"})
"""The kernels, as the functions of torch that run them."""

FACTOR = 8.0
"""Between what one way of rounding moves the output and what counts as another output; as
`attnscope.experiments.floor.FLOOR_FACTOR`."""

_ATTENTION = (
    "query", "key", "value", "embed_dim", "num_heads", "qkv_weight", "qkv_bias", "proj_weight",
    "proj_bias", "mask", "need_weights", "average_attn_weights", "mask_type",
)  # fmt: skip
_LAYER = (
    "src", "embed_dim", "num_heads", "qkv_weight", "qkv_bias", "proj_weight", "proj_bias",
    "use_gelu", "norm_first", "eps", "norm_weight_1", "norm_bias_1", "norm_weight_2",
    "norm_bias_2", "ffn_weight_1", "ffn_bias_1", "ffn_weight_2", "ffn_bias_2", "mask", "mask_type",
)  # fmt: skip


@contextmanager
def paths_kept(model: nn.Module) -> Iterator[None]:
    """While inside, hooks and modes do not move these modules off their fast path.

    Both ask whether somebody is watching, and compute by another kernel if so.
    """
    layers = [one for one in model.modules() if isinstance(one, nn.TransformerEncoderLayer)]
    if not layers and not any(isinstance(one, nn.MultiheadAttention) for one in model.modules()):
        yield
        return
    hooked = {id(layer) for layer in layers if any(map(_has_hooks, layer.modules()))}

    def modules(layer: nn.Module, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        return nn.Module.modules(layer) if id(layer) in hooked else iter(())

    with ExitStack() as stack:
        stack.enter_context(replaced(nn.TransformerEncoderLayer, "modules", modules))
        stack.enter_context(replaced(torch.overrides, "has_torch_function", _has_subclass))
        stack.enter_context(replaced(functional, "has_torch_function", _has_subclass))
        yield


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _has_subclass(tensors: Any) -> bool:
    """`torch.overrides.has_torch_function` without the modes that are entered."""
    plain = {Tensor, nn.Parameter}
    return any(type(one) not in plain and hasattr(one, "__torch_function__") for one in tensors)


@dataclass(frozen=True, slots=True)
class _Heads:
    """Attention by hand, (batch, head, position, d) each."""

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor


def from_fused(
    name: str, output: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Received | None:
    """What a fused kernel received; None for nested tensors and attention between two sequences."""
    names = _LAYER if name == "_transformer_encoder_layer_fwd" else _ATTENTION
    given = dict(zip(names, args, strict=False)) | dict(kwargs)
    source = given["src"] if "src" in given else given["query"]
    result = output[0] if isinstance(output, tuple) else output
    if source.is_nested or ("query" in given and given["key"] is not given["query"]):
        return None
    closed = _closed(given, source)
    whole = _layer if "src" in given else _attention
    heads, here = whole(given, source, closed, source.dtype)
    _, exact = whole(given, source, closed, torch.float64)
    rounded = float((here.double() - exact).abs().max())
    last_bit = torch.finfo(source.dtype).eps * float(exact.abs().max())  # in float64 both agree
    limit = FACTOR * max(rounded, last_bit)
    gap = float((result.double() - exact).abs().max())
    return Received(
        kernel=name.strip("_"),
        query=heads.query,
        key=heads.key,
        value=heads.value,
        mask=everything() if closed is None else dense(~closed),
        mask_form="none" if given.get("mask") is None else _FORMS.get(given["mask_type"], "tensor"),
        scale=heads.query.shape[-1] ** -0.5,
        output=heads.output,
        unexplained=None
        if gap <= limit
        else f"the fused kernel's output is {gap:.1e} away from what its arguments give",
    )


_FORMS = {0: "attention mask", 1: "padding mask", 2: "merged masks"}
"""torch's numbers for kinds of masks."""


def _closed(given: Mapping[str, Any], source: Tensor) -> Tensor | None:
    """(batch, head, query, key) that broadcasts: True where the kernel lets nothing through."""
    mask = given.get("mask")
    if mask is None:
        return None
    cells: Tensor = mask.bool()  # as the kernel does, whatever numbers a float mask holds
    if given["mask_type"] == 1:
        return cells[:, None, None]
    return cells[None, None] if cells.ndim == 2 else cells.view(len(source), -1, *cells.shape[-2:])


def _attention(
    given: Mapping[str, Any], source: Tensor, closed: Tensor | None, dtype: torch.dtype
) -> tuple[_Heads, Tensor]:
    """The heads, and the attention's output (batch, position, feature)."""
    weight = {name: one.to(dtype) for name, one in given.items() if name in _PROJECTIONS}
    batch, length, width = source.shape
    projected = linear(source.to(dtype), weight["qkv_weight"], weight["qkv_bias"])
    parts = projected.view(batch, length, 3, given["num_heads"], -1).permute(2, 0, 3, 1, 4)
    query, key, value = parts.unbind(0)
    mask = None if closed is None else ~closed
    output = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    together = output.transpose(1, 2).reshape(batch, length, width)
    final = linear(together, weight["proj_weight"], weight["proj_bias"])
    return _Heads(query, key, value, output), final


_PROJECTIONS = ("qkv_weight", "qkv_bias", "proj_weight", "proj_bias")


def _layer(
    given: Mapping[str, Any], source: Tensor, closed: Tensor | None, dtype: torch.dtype
) -> tuple[_Heads, Tensor]:
    """The heads, and the whole layer's output."""
    weight = {name: one.to(dtype) for name, one in given.items() if name.endswith(_NUMBERED)}

    def norm(tensor: Tensor, which: int) -> Tensor:
        shape = (given["embed_dim"],)
        return layer_norm(
            tensor, shape, weight[f"norm_weight_{which}"], weight[f"norm_bias_{which}"],
            given["eps"],
        )  # fmt: skip

    activation: Callable[[Tensor], Tensor] = gelu if given["use_gelu"] else relu

    def feed_forward(tensor: Tensor) -> Tensor:
        inner = activation(linear(tensor, weight["ffn_weight_1"], weight["ffn_bias_1"]))
        return linear(inner, weight["ffn_weight_2"], weight["ffn_bias_2"])

    state = source.to(dtype)
    if given["norm_first"]:
        heads, attended = _attention(given, norm(state, 1), closed, dtype)
        state = state + attended
        return heads, state + feed_forward(norm(state, 2))
    heads, attended = _attention(given, state, closed, dtype)
    state = norm(state + attended, 1)
    return heads, norm(state + feed_forward(state), 2)


_NUMBERED = ("_1", "_2")
