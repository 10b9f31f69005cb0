"""The conditions in which a model is asked.

A condition is a way to get the logits of the same tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnscope import promises
from attnscope.promises import Promise


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
    """Who is held to causality there, where that is more models; None: as `promise`. A model that
    was never promised to keep pads out is still held not to show the future."""
    least: int = 2
    """Tokens below which it is no other condition than the plain one."""
    needs: tuple[str, ...] = ()
    """Arguments without which the model cannot be asked."""
    needs_cache: bool = False
    """True when it makes sense only for a model that returns a cache."""
    their_cache: bool = False
    """True when it makes or edits a cache of transformers' own classes."""
    aside: str = ""
    """Tokens beside the ones asked about that must not matter, in words; empty when there are
    none."""


CONDITIONS: Mapping[str, Condition] = {
    each.key: each
    for each in (
        Condition(
            key="plain",
            title="plain",
            words="One forward pass, no mask, no cache.",
            promise=promises.ALWAYS,
        ),
        Condition(
            key="ones",
            title="all-ones mask",
            words="An attention_mask of ones, which says the same as none.",
            promise=promises.MASK,
            needs=("attention_mask",),
        ),
        Condition(
            key="cache",
            title="use_cache on",
            words="The same single forward pass, with use_cache=True.",
            promise=promises.ALWAYS,
            needs=("use_cache",),
        ),
        Condition(
            key="attentions",
            title="output_attentions on",
            words="The same, asking for the attention weights.",
            promise=promises.ALWAYS,
            needs=("output_attentions",),
        ),
        Condition(
            key="left_padding",
            title="left padding",
            words="Pads before the tokens, masked, with the position ids that generate() makes.",
            promise=promises.MASK,
            agrees=promises.POSITIONS,
            causal=promises.ALWAYS,
            needs=("attention_mask",),
            aside="the pads",
        ),
        Condition(
            key="right_padding",
            title="right padding",
            words="Pads after the tokens, masked.",
            promise=promises.ALWAYS,  # pads after the tokens are the future
            needs=("attention_mask",),
            aside="the pads",
        ),
        Condition(
            key="first_row",
            title="batch of 2, first row",
            words="Another text as second row of the batch.",
            promise=promises.ALWAYS,
            aside="the other row",
        ),
        Condition(
            key="second_row",
            title="batch of 2, second row",
            words="Another text as first row of the batch.",
            promise=promises.ALWAYS,
            aside="the other row",
        ),
        Condition(
            key="padded_row",
            title="batch of 2, left padding",
            words="A longer text as first row; this one is padded on the left to its length.",
            promise=promises.MASK,
            agrees=promises.POSITIONS,
            causal=promises.ALWAYS,
            needs=("attention_mask",),
            aside="the other row and the pads",
        ),
        Condition(
            key="packed",
            title="packed, position ids alone",
            words="Another document before this one in the same row; position ids start again.",
            promise=promises.PACKED,
            causal=promises.ALWAYS,
            needs=("position_ids",),
            aside="the other document",
        ),
        Condition(
            key="packed_cached",
            title="packed, all-ones mask and cache",
            words="The same with an attention_mask of ones and use_cache=True.",
            promise=promises.NEVER_PACKED,
            causal=promises.ALWAYS,
            needs=("position_ids", "attention_mask", "use_cache"),
            aside="the other document",
        ),
        Condition(
            key="one_token",
            title="one token a step",
            words="Half of the tokens at once, then one at a time from the cache.",
            promise=promises.CACHE,
            needs_cache=True,
        ),
        Condition(
            key="one_token_positions",
            title="one token a step, position ids",
            words="The same with the mask and position ids that generate() passes.",
            promise=promises.CACHE,
            needs_cache=True,
            needs=("position_ids",),
        ),
        Condition(
            key="several_tokens",
            title="several tokens a step",
            words="Half of the tokens at once, then three at a time from the cache.",
            promise=promises.SEVERAL,
            causal=promises.ALWAYS,
            least=4,
            needs_cache=True,
        ),
        Condition(
            key="several_tokens_positions",
            title="several tokens a step, position ids",
            words="The same with mask and position ids.",
            promise=promises.SEVERAL,
            causal=promises.ALWAYS,
            least=4,
            needs_cache=True,
            needs=("position_ids",),
        ),
        Condition(
            key="chunked_prefill",
            title="chunked prefill",
            words="From an empty cache, five tokens at a time.",
            promise=promises.SEVERAL,
            causal=promises.ALWAYS,
            least=6,
            needs_cache=True,
        ),
        Condition(
            key="left_padded_decoding",
            title="left-padded prefill, then decoding",
            words="Pads before the tokens; half at once, then one at a time, as generate() does.",
            promise=promises.MASK,
            agrees=promises.POSITIONS,
            causal=promises.ALWAYS,
            needs=("attention_mask",),
            needs_cache=True,
            aside="the pads",
        ),
        Condition(
            key="batched_decoding",
            title="batch of 2, left padding, then decoding",
            words="A longer text as first row, this one padded on the left; half at once, then one"
            " token at a time, as generate() serves a batch.",
            promise=promises.MASK,
            agrees=promises.POSITIONS,
            causal=promises.ALWAYS,
            needs=("attention_mask",),
            needs_cache=True,
            aside="the other row and the pads",
        ),
        Condition(
            key="right_padded_decoding",
            title="right-padded prefill, then decoding",
            words="Half of the tokens and pads after them at once, then one token at a time.",
            promise=promises.RIGHT_PADDED,
            needs=("attention_mask",),
            needs_cache=True,
            aside="the pads",
        ),
        Condition(
            key="full_length_cache",
            title="cache without a window",
            words="A DynamicCache that keeps everything, also for layers with a window.",
            promise=promises.CACHE,
            needs_cache=True,
            their_cache=True,
        ),
        Condition(
            key="sliding_cache",
            title="cache with the config's windows",
            words="A DynamicCache made from the config, which forgets what the window has passed.",
            promise=promises.CACHE,
            needs_cache=True,
            their_cache=True,
        ),
        Condition(
            key="static_cache",
            title="static cache",
            words="A StaticCache with room to spare; half at once, then three and one at a time.",
            promise=promises.STATIC,
            least=7,
            needs_cache=True,
            their_cache=True,
        ),
        Condition(
            key="offloaded_cache",
            title="offloaded cache",
            words="A DynamicCache that moves layers to the CPU and back.",
            promise=promises.CACHE,
            needs_cache=True,
            their_cache=True,
        ),
        Condition(
            key="reordered",
            title="reordered beams",
            words="Two rows are read, the cache keeps the second one twice, and goes on.",
            promise=promises.CACHE,
            needs_cache=True,
            their_cache=True,
            aside="the dropped beam",
        ),
        Condition(
            key="cropped",
            title="cropped speculation",
            words="Draft tokens are read, rejected by cropping the cache, and others follow.",
            promise=promises.CROP,
            needs_cache=True,
            their_cache=True,
            aside="the rejected tokens",
        ),
        Condition(
            key="after_longer",
            title="after a longer call",
            words="Another, longer text is read first.",
            promise=promises.ALWAYS,
            aside="the earlier call",
        ),
        Condition(
            key="alone",
            title="each prefix alone",
            words="Each position's logits from a run that ends there.",
            promise=promises.LENGTH,
        ),
    )
}
"""In reading order."""
