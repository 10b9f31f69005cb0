"""What models have promised, and who says so.

What a model never promised cannot be broken: a difference there is shown, with the source that says
so, and counts neither way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What promises depend on."""

    model_type: str
    """The config's."""
    takes: frozenset[str]
    """Arguments of the model's forward."""
    attention_only: bool
    """Every token mixer is an attention that transformers' interface runs."""
    masks_packed: bool
    """The model's code hands its position ids to `transformers.masking_utils`."""
    masks_suffice: bool
    """Tokens meet in attention calls and nowhere beside them, in one stack of layers."""
    absolute_positions: bool
    """Positions are looked up in a table, and the forward takes no position_ids."""
    length_dependent: bool
    """The rotary encoding depends on the length of the input (dynamic, longrope)."""
    static_cache: bool
    """The model declares that it runs with a static cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Whether a model is held to a condition."""

    text: str
    """When it is and when it is not, in words."""
    source: str
    """Documentation or source code that decides it."""
    holds: Callable[[Facts], bool]
    """True when this model is held to it."""


ALWAYS = Promise(
    text="Every causal language model.",
    source="A causal model's output at a position is a function of the tokens up to it.",
    holds=lambda facts: True,
)
PADS_KNOWN_TO_MATTER = frozenset({"rwkv", "recurrent_gemma", "deepseek_v4"})
"""Model types whose documentation or tests say that pads are not kept out."""

MASK = Promise(
    text="Every model whose forward takes an attention_mask, except those that document it as"
    " unused (RWKV) and those whose own tests in transformers expect left padding to change the"
    " output (RecurrentGemma, DeepSeek V4).",
    source="transformers glossary, 'attention mask': which tokens should be attended to, and which"
    " should not; RwkvModel.forward: 'currently not used by RwkvModel';"
    " test_left_padding_compatibility, skipped in tests/models/recurrent_gemma ('This is expected')"
    " and tests/models/deepseek_v4 ('by design', issue 45938).",
    holds=lambda facts: facts.model_type not in PADS_KNOWN_TO_MATTER,
)
POSITIONS = Promise(
    text="Models that take position_ids, or whose positions are relative; with pads before the"
    " tokens, a table of absolute positions counts the pads.",
    source="transformers glossary, 'position IDs'; the forward's own signature.",
    holds=lambda facts: MASK.holds(facts) and not facts.absolute_positions,
)
CACHE = Promise(
    text="Every model that returns a cache.",
    source="transformers docs, 'Caching': a cache stores past keys and values so that they need not"
    " be computed again; generation relies on it.",
    holds=lambda facts: True,
)
SEVERAL = Promise(
    text="Attention-only models. State-space, convolution and recurrent layers document one token"
    " a step after the prefill.",
    source="transformers docs, 'Caching'; for the others their cached branch is taken for a single"
    " token only (for example MambaMixer.slow_forward).",
    holds=lambda facts: facts.attention_only,
)
PACKED = Promise(
    text="Attention-only models whose code hands position_ids to transformers.masking_utils, with"
    " no mask and use_cache=False, and in which tokens meet in nothing but these masks'"
    " attention: no convolution beside it (Zaya), no further stack of layers (BLT).",
    source="transformers.masking_utils, _preprocess_mask_arguments: packed sequences are detected"
    " from position_ids only when there is neither an attention_mask nor a cache; transformers"
    " docs, 'Padding-free training': convolutions are not kept apart by position_ids.",
    holds=lambda facts: facts.masks_packed and facts.attention_only and facts.masks_suffice,
)
NEVER_PACKED = Promise(
    text="No model.",
    source="transformers.masking_utils, _preprocess_mask_arguments: with an attention_mask or a"
    " cache, position_ids separate no documents.",
    holds=lambda facts: False,
)
RIGHT_PADDED = Promise(
    text="No model.",
    source="transformers docs, 'Generation': decoder-only models are padded on the left, because"
    " they are not trained to continue from pads.",
    holds=lambda facts: False,
)
STATIC = Promise(
    text="Models that declare it (_can_compile_fullgraph), with attention only.",
    source="transformers.PreTrainedModel: a model that can be compiled as a full graph runs with a"
    " StaticCache.",
    holds=lambda facts: facts.static_cache and facts.attention_only,
)
LENGTH = Promise(
    text="Every model but those whose rotary encoding depends on the length (dynamic, longrope).",
    source="transformers.modeling_rope_utils, dynamic_rope_update.",
    holds=lambda facts: not facts.length_dependent,
)
CROP = Promise(
    text="Attention-only models: a recurrent state cannot be taken back.",
    source="transformers.cache_utils, Cache.is_croppable and Cache.crop.",
    holds=lambda facts: facts.attention_only,
)
