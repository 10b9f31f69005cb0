"""Which layers a small model keeps: the first of each kind."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "depth")
"""The number of layers, `depth` in image towers."""

INDEX_LISTS = (
    "moe_layers",
    "mlp_only_layers",
    "attn_layer_indices",
    "full_attn_idxs",
    "hybrid_layer_ids",
)
"""Lists that name layers, unlike the lists with one entry a layer."""

PERIODS = (
    ("attn_layer_period", "attn_layer_offset"),
    ("expert_layer_period", "expert_layer_offset"),
    ("decoder_sparse_step", None),
    ("full_attention_interval", None),
)
"""A kind of layer that comes every so many layers, and where it starts."""

PATTERNS = ("block_types",)
"""Lists of kinds that are repeated to the last layer."""

LEADING = ("first_k_dense_replace", "num_dense_layers")
"""So many layers of another kind come first."""

TRAILING = ("num_kv_shared_layers",)
"""So many layers of another kind come last."""

SPEC = "_heterogeneity_spec"
"""Where a config keeps what is different in single layers; none before transformers 5.2x."""


def keep_layers(config: PreTrainedConfig) -> None:
    """Cut a config, in place, to the first layer of each kind, two layers at least.

    Where kinds come by their number (every so many layers), it is cut to the shortest beginning
    that holds them all.
    """
    fields = vars(config)
    counts = [name for name in COUNTS if type(fields.get(name)) is int]
    if not counts:
        return
    kept = _kept(fields, fields[counts[0]])
    _cut_lists(config, fields[counts[0]], kept)
    _cut_ends(config, fields[counts[0]], kept)
    _cut_single_layers(config, kept)
    for name in counts:
        setattr(config, name, len(kept))


def _kept(fields: dict[str, Any], layers: int) -> list[int]:
    lists = _lists_with_an_entry_a_layer(fields, layers)
    kinds = [_kind(fields, lists, layer, layers) for layer in range(layers)]
    firsts = sorted(kinds.index(kind) for kind in set(kinds))
    numbered = [name for name in (*(one for one, _ in PERIODS), *PATTERNS) if fields.get(name)]
    if numbered:
        return list(range(min(layers, max(2, firsts[-1] + 1))))
    return firsts if len(firsts) > 1 else list(range(min(layers, 2)))


def _kind(fields: dict[str, Any], lists: list[str], layer: int, layers: int) -> tuple[object, ...]:
    listed = [str(fields[name][layer]) for name in lists]
    named = [layer in fields[name] for name in _present(fields, INDEX_LISTS)]
    periodic = [
        (layer - fields.get(offset or "", 0)) % fields[period] == 0
        for period, offset in PERIODS
        if fields.get(period)
    ]
    patterned = [fields[name][layer % len(fields[name])] for name in PATTERNS if fields.get(name)]
    leading = [layer < fields[name] for name in LEADING if fields.get(name)]
    trailing = [layer >= layers - fields[name] for name in TRAILING if fields.get(name)]
    alone = str(_single_layers(fields).get(layer))
    return (*listed, *named, *periodic, *patterned, *leading, *trailing, alone)


def _lists_with_an_entry_a_layer(fields: dict[str, Any], layers: int) -> list[str]:
    return [
        name
        for name, value in fields.items()
        if isinstance(value, list | tuple) and len(value) == layers and name not in INDEX_LISTS
    ]


def _present(fields: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    return [name for name in names if isinstance(fields.get(name), list)]


def _cut_lists(config: PreTrainedConfig, layers: int, kept: list[int]) -> None:
    fields = vars(config)
    for name in _present(fields, INDEX_LISTS):
        setattr(config, name, [new for new, old in enumerate(kept) if old in fields[name]])
    for name in _lists_with_an_entry_a_layer(fields, layers):
        setattr(config, name, type(fields[name])(fields[name][layer] for layer in kept))


def _cut_ends(config: PreTrainedConfig, layers: int, kept: list[int]) -> None:
    fields = vars(config)
    for name in (name for name in LEADING if fields.get(name)):
        setattr(config, name, sum(layer < fields[name] for layer in kept))
    for name in (name for name in TRAILING if fields.get(name)):
        setattr(config, name, sum(layer >= layers - fields[name] for layer in kept))


def _single_layers(fields: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return getattr(fields.get(SPEC), "per_layer_overrides", None) or {}


def _cut_single_layers(config: PreTrainedConfig, kept: list[int]) -> None:
    spec = vars(config).get(SPEC)
    if spec is not None:
        single = spec.per_layer_overrides
        spec.per_layer_overrides = {
            new: single[old] for new, old in enumerate(kept) if old in single
        }
