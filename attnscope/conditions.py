"""The conditions in which a model is asked, and what it has promised in each.

A condition is a way to get the logits of the same tokens. What a model never promised cannot be
broken: a difference there is shown, with the source that says so, and counts neither way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One way to run the model; `attnscope.experiments.ways` holds its code under the same key."""

    key: str
    """Short name in code."""
    title: str
    """Name in reports."""
    words: str
    """What is done, in one sentence."""
    promise: Promise
    """Who is held to it."""
    agrees: Promise | None = None
    """Who is held to the plain run's logits, where that is fewer models; None: as `promise`."""
    causal: Promise | None = None
    """Who is held to causality there, where that is more models; None: as `promise`."""
    least: int = 2
    """Tokens below which it is no other condition than the plain one."""
    needs: tuple[str, ...] = ()
    """Arguments without which the model cannot be asked."""
    needs_cache: bool = False
    """True when it makes sense only for a model that returns a cache."""
    aside: str = ""
    """Tokens beside the ones asked about that must not matter, in words; empty when there are
    none."""


_ALWAYS = Promise(
    text="Every causal language model.",
    source="A causal model's output at a position is a function of the tokens up to it.",
    holds=lambda facts: True,
)
_MASK = Promise(
    text="Every model whose forward takes an attention_mask, except those that document it as"
    " unused (RWKV).",
    source="transformers glossary, 'attention mask': which tokens should be attended to, and which"
    " should not; RwkvModel.forward: 'currently not used by RwkvModel'.",
    holds=lambda facts: facts.model_type != "rwkv",
)
_POSITIONS = Promise(
    text="Models that take position_ids, or whose positions are relative; with pads before the"
    " tokens, a table of absolute positions counts the pads.",
    source="transformers glossary, 'position IDs'; the forward's own signature.",
    holds=lambda facts: _MASK.holds(facts) and not facts.absolute_positions,
)
_CACHE = Promise(
    text="Every model that returns a cache.",
    source="transformers docs, 'Caching': a cache stores past keys and values so that they need not"
    " be computed again; generation relies on it.",
    holds=lambda facts: True,
)
_SEVERAL = Promise(
    text="Attention-only models. State-space, convolution and recurrent layers document one token"
    " a step after the prefill.",
    source="transformers docs, 'Caching'; for the others their cached branch is taken for a single"
    " token only (for example MambaMixer.slow_forward).",
    holds=lambda facts: facts.attention_only,
)
_PACKED = Promise(
    text="Attention-only models whose code hands position_ids to transformers.masking_utils, with"
    " no mask and use_cache=False.",
    source="transformers.masking_utils, _preprocess_mask_arguments: packed sequences are detected"
    " from position_ids only when there is neither an attention_mask nor a cache.",
    holds=lambda facts: facts.masks_packed and facts.attention_only,
)
_NEVER_PACKED = Promise(
    text="No model.",
    source="transformers.masking_utils, _preprocess_mask_arguments: with an attention_mask or a"
    " cache, position_ids separate no documents.",
    holds=lambda facts: False,
)
_RIGHT_PADDED = Promise(
    text="No model.",
    source="transformers docs, 'Generation': decoder-only models are padded on the left, because"
    " they are not trained to continue from pads.",
    holds=lambda facts: False,
)
_STATIC = Promise(
    text="Models that declare it (_can_compile_fullgraph), with attention only.",
    source="transformers.PreTrainedModel: a model that can be compiled as a full graph runs with a"
    " StaticCache.",
    holds=lambda facts: facts.static_cache and facts.attention_only,
)
_LENGTH = Promise(
    text="Every model but those whose rotary encoding depends on the length (dynamic, longrope).",
    source="transformers.modeling_rope_utils, dynamic_rope_update.",
    holds=lambda facts: not facts.length_dependent,
)
_CROP = Promise(
    text="Attention-only models: a recurrent state cannot be taken back.",
    source="transformers.cache_utils, Cache.is_croppable and Cache.crop.",
    holds=lambda facts: facts.attention_only,
)

CONDITIONS: Mapping[str, Condition] = {
    each.key: each
    for each in (
        Condition(
            key="plain",
            title="plain",
            words="One forward pass, no mask, no cache.",
            promise=_ALWAYS,
        ),
        Condition(
            key="ones",
            title="all-ones mask",
            words="An attention_mask of ones, which says the same as none.",
            promise=_MASK,
            needs=("attention_mask",),
        ),
        Condition(
            key="cache",
            title="use_cache on",
            words="The same single forward pass, with use_cache=True.",
            promise=_ALWAYS,
            needs=("use_cache",),
        ),
        Condition(
            key="attentions",
            title="output_attentions on",
            words="The same, asking for the attention weights.",
            promise=_ALWAYS,
            needs=("output_attentions",),
        ),
        Condition(
            key="left_padding",
            title="left padding",
            words="Pads before the tokens, masked, with the position ids that generate() makes.",
            promise=_MASK,
            agrees=_POSITIONS,
            needs=("attention_mask",),
            aside="the pads",
        ),
        Condition(
            key="right_padding",
            title="right padding",
            words="Pads after the tokens, masked.",
            promise=_MASK,
            needs=("attention_mask",),
            aside="the pads",
        ),
        Condition(
            key="first_row",
            title="batch of 2, first row",
            words="Another text as second row of the batch.",
            promise=_ALWAYS,
            aside="the other row",
        ),
        Condition(
            key="second_row",
            title="batch of 2, second row",
            words="Another text as first row of the batch.",
            promise=_ALWAYS,
            aside="the other row",
        ),
        Condition(
            key="padded_row",
            title="batch of 2, left padding",
            words="A longer text as first row; this one is padded on the left to its length.",
            promise=_MASK,
            agrees=_POSITIONS,
            needs=("attention_mask",),
            aside="the other row and the pads",
        ),
        Condition(
            key="packed",
            title="packed, position ids alone",
            words="Another document before this one in the same row; position ids start again.",
            promise=_PACKED,
            causal=_ALWAYS,
            needs=("position_ids",),
            aside="the other document",
        ),
        Condition(
            key="packed_cached",
            title="packed, all-ones mask and cache",
            words="The same with an attention_mask of ones and use_cache=True.",
            promise=_NEVER_PACKED,
            causal=_ALWAYS,
            needs=("position_ids", "attention_mask", "use_cache"),
            aside="the other document",
        ),
        Condition(
            key="one_token",
            title="one token a step",
            words="Half of the tokens at once, then one at a time from the cache.",
            promise=_CACHE,
            needs_cache=True,
        ),
        Condition(
            key="one_token_positions",
            title="one token a step, position ids",
            words="The same with the mask and position ids that generate() passes.",
            promise=_CACHE,
            needs_cache=True,
            needs=("position_ids",),
        ),
        Condition(
            key="several_tokens",
            title="several tokens a step",
            words="Half of the tokens at once, then three at a time from the cache.",
            promise=_SEVERAL,
            least=4,
            needs_cache=True,
        ),
        Condition(
            key="several_tokens_positions",
            title="several tokens a step, position ids",
            words="The same with mask and position ids.",
            promise=_SEVERAL,
            least=4,
            needs_cache=True,
            needs=("position_ids",),
        ),
        Condition(
            key="chunked_prefill",
            title="chunked prefill",
            words="From an empty cache, five tokens at a time.",
            promise=_SEVERAL,
            least=6,
            needs_cache=True,
        ),
        Condition(
            key="left_padded_decoding",
            title="left-padded prefill, then decoding",
            words="Pads before the tokens; half at once, then one at a time, as generate() does.",
            promise=_MASK,
            agrees=_POSITIONS,
            needs=("attention_mask",),
            needs_cache=True,
            aside="the pads",
        ),
        Condition(
            key="right_padded_decoding",
            title="right-padded prefill, then decoding",
            words="Half of the tokens and pads after them at once, then one token at a time.",
            promise=_RIGHT_PADDED,
            needs=("attention_mask",),
            needs_cache=True,
            aside="the pads",
        ),
        Condition(
            key="full_length_cache",
            title="cache without a window",
            words="A DynamicCache that keeps everything, also for layers with a window.",
            promise=_CACHE,
            needs_cache=True,
        ),
        Condition(
            key="sliding_cache",
            title="cache with the config's windows",
            words="A DynamicCache made from the config, which forgets what the window has passed.",
            promise=_CACHE,
            needs_cache=True,
        ),
        Condition(
            key="static_cache",
            title="static cache",
            words="A StaticCache with room to spare; half at once, then three and one at a time.",
            promise=_STATIC,
            least=7,
            needs_cache=True,
        ),
        Condition(
            key="offloaded_cache",
            title="offloaded cache",
            words="A DynamicCache that moves layers to the CPU and back.",
            promise=_CACHE,
            needs_cache=True,
        ),
        Condition(
            key="reordered",
            title="reordered beams",
            words="Two rows are read, the cache keeps the second one twice, and goes on.",
            promise=_CACHE,
            needs_cache=True,
            aside="the dropped beam",
        ),
        Condition(
            key="cropped",
            title="cropped speculation",
            words="Draft tokens are read, rejected by cropping the cache, and others follow.",
            promise=_CROP,
            needs_cache=True,
            aside="the rejected tokens",
        ),
        Condition(
            key="after_longer",
            title="after a longer call",
            words="Another, longer text is read first.",
            promise=_ALWAYS,
            aside="the earlier call",
        ),
        Condition(
            key="alone",
            title="each prefix alone",
            words="Each position's logits from a run that ends there.",
            promise=_LENGTH,
        ),
    )
}
"""In reading order."""
