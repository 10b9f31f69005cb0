"""One pass over the attention calls of a run: everything that `trace` shows.

Calls come one by one as the model runs, are measured and dropped; only the most telling one so far
is kept, for its heatmap and hand trace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from attnscope.errors import SelectionError
from attnscope.measure.focus import tally
from attnscope.measure.mask_map import MaskMaps
from attnscope.measure.proof import ProofTally
from attnscope.measure.roles import reason, telling
from attnscope.measure.trace import hand_trace, head_vectors, head_view, kept
from attnscope.records import AttentionCall, HeadFocus, HeadView, ModelInfo, Tokens, Trace, Unseen
from attnscope.text import ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to look at closely. None leaves the choice to attnscope."""

    layer: int | None = None
    """Decoder layer, from 0; negative counts from the last."""
    head: int | tuple[int, ...] | None = None
    """Query head, from 0; negative counts from the last. Of several, the first is traced by hand.
    """
    query: int | str | None = None
    """A position (negative counts from the end) or a token's text; by default the last token."""

    def wants(self, layer: int, head: int, layers: int, heads: int) -> bool:
        """True for a head that may be chosen, out of so many layers and heads."""
        return _matches(self.layer, layer, layers) and (
            not self.heads or head in self.places(heads)
        )

    @property
    def heads(self) -> tuple[int, ...]:
        """The heads that are asked for; none where the choice is free."""
        if self.head is None:
            return ()
        return self.head if isinstance(self.head, tuple) else (self.head,)

    def places(self, heads: int) -> tuple[int, ...]:
        """The heads that are asked for, counted from the first of so many."""
        return tuple(head + heads if head < 0 else head for head in self.heads)


class RunTally:
    """Measures the calls of one run, in order."""

    def __init__(self, model: ModelInfo, tokens: Tokens, selection: Selection) -> None:
        self._model = model
        self._tokens = tokens
        self._selection = selection
        self._query = find_query(tokens, selection.query)
        self._ids = torch.tensor(tokens.ids)
        self._masks = MaskMaps()
        self._proof = ProofTally()
        self._focus: list[HeadFocus] = []
        self._notes: list[str] = []
        self._unchecked: list[str] = []
        self._best: tuple[AttentionCall, HeadFocus] | None = None
        self._shown: tuple[HeadFocus, ...] = ()

    def note(self, words: str) -> None:
        """Add a remark to the result."""
        self._notes.append(words)

    def add(self, call: AttentionCall) -> None:
        """Measure one call."""
        if problem := self._cannot_measure(call):
            self._unchecked.append(f"{call.module}: {problem}")
            return
        counted = tally(call, self._ids)
        heads = counted.result()
        self._masks.add(call)
        self._proof.add(call, counted, heads)
        self._focus.extend(heads)
        if call.unexplained:
            self._unchecked.append(f"{call.module}: {call.unexplained}")
        self._consider(call, heads)

    def miss(self, unseen: Unseen) -> None:
        """Note attention that was not seen; softmaxes over something else than tokens are none."""
        if unseen.over(len(self._tokens)):
            self._unchecked.append(f"{unseen.module}: {unseen.reason}")

    def _cannot_measure(self, call: AttentionCall) -> str | None:
        size = len(self._tokens)
        if call.output.shape[0] != 1:
            return f"a call over a batch of {call.output.shape[0]}"
        if (call.queries, call.keys) != (size, size):
            return f"a call of {call.queries} queries over {call.keys} keys, not {size} over {size}"
        return None

    def _consider(self, call: AttentionCall, heads: tuple[HeadFocus, ...]) -> None:
        wanted = [
            head
            for head in heads
            if self._selection.wants(head.layer, head.head, self._model.layers, len(heads))
        ]
        if not wanted:
            return
        best = max(wanted, key=telling)
        if self._best is None or telling(best) > telling(self._best[1]):
            places = self._selection.places(len(heads))
            shown = tuple(heads[place] for place in places if 0 <= place < len(heads)) or (best,)
            self._best, self._shown = (kept(call), shown[0]), shown

    def result(self) -> Trace:
        """The whole trace.

        Raises SelectionError when the layer or head that was asked for never came by.
        """
        views: tuple[HeadView, ...] = ()
        hand = vectors = None
        if self._best is not None:
            call, best = self._best
            views = tuple(head_view(call, head, self._reason(head)) for head in self._shown)
            hand = hand_trace(call, best, self._query)
            vectors = head_vectors(call, best.head)
        elif self._focus or self._selection.layer is not None or self._selection.head is not None:
            raise SelectionError(*self._nothing_there())
        else:
            self.note(self._no_attention())
        masks = self._masks.result()
        self._unchecked += self._silent_layers()
        return Trace(
            model=self._model,
            tokens=self._tokens,
            masks=masks,
            focus=tuple(self._focus),
            views=views,
            hand=hand,
            vectors=vectors,
            proof=self._proof.result(masks, tuple(dict.fromkeys(self._unchecked))),
            notes=tuple(dict.fromkeys(self._notes)),
        )

    def _silent_layers(self) -> list[str]:
        """Layers of which no attention was seen, in a model of which some was."""
        seen = {head.layer for head in self._focus}
        silent = sorted(set(range(self._model.layers)) - seen)
        if not seen or not silent:
            return []
        name = "layer" if len(silent) == 1 else "layers"
        return [f"{name} {ranges(silent)}: no attention was seen there"]

    def _reason(self, best: HeadFocus) -> str:
        if len(self._shown) > 1:
            return f"{best.role}, score {best.role_score:.2f}"
        if len(self._focus) == 1:
            return "the only head"
        of_layer = self._selection.layer is not None
        of_head = self._selection.head is not None
        if of_layer and of_head:
            return "the head that was asked for"
        among = f" of layer {best.layer}" if of_layer else ""
        return reason(best, f" among the heads {best.head}" if of_head else among)

    def _nothing_there(self) -> tuple[str, str]:
        if not self._focus:
            return self._no_attention(), "Leave --layer and --head out to see what there is."
        layers = sorted({head.layer for head in self._focus})
        heads = max(head.head for head in self._focus) + 1
        asked = [] if self._selection.layer is None else [f"layer {self._selection.layer}"]
        asked += [f"head {head}" for head in self._selection.heads]
        return (
            f"{self._model.name} has no {' '.join(asked)}.",
            f"Its attention layers are {ranges(layers)}, with heads 0-{heads - 1}.",
        )

    def _no_attention(self) -> str:
        if not self._model.heads:
            return f"{self._model.architecture} has no attention: nothing to show."
        return (
            f"The config of {self._model.architecture} names {self._model.heads} heads, but no"
            " attention call was seen: nothing was checked."
        )


def find_query(tokens: Tokens, query: int | str | None) -> int:
    """The position of a query given by position or by token; of equal tokens the last.

    Raises SelectionError when there is none such.
    """
    if query is None:
        return len(tokens) - 1
    if isinstance(query, str) and re.fullmatch(r"[+-]?[0-9]{1,9}", query.strip()):
        query = int(query)
    if isinstance(query, int):
        if -len(tokens) <= query < len(tokens):
            return query % len(tokens)
        raise SelectionError(
            f"There is no query {query}.", f"The prompt has positions 0 to {len(tokens) - 1}."
        )
    places = [
        place
        for place, text in enumerate(tokens.texts)
        if query and query in (text, text.strip(), tokens.labels[place])
    ]
    if not places:
        shown = " ".join(label.strip() for label in tokens.labels[:12])
        more = " ..." if len(tokens) > 12 else ""
        asked = query if len(query) <= 40 else f"{query[:40]}..."
        raise SelectionError(f"No token reads {asked!r}.", f"The tokens are: {shown}{more}")
    return places[-1]


def _matches(wanted: int | None, value: int, count: int) -> bool:
    return wanted is None or value == (wanted + count if wanted < 0 else wanted)
