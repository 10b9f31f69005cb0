"""The baseline: interpolated modified Kneser-Ney smoothing.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling", Computer
Speech and Language 13 (1999), equations 24 to 27. For a word w after a context h,

    p(w | h) = (c(h w) - D(c(h w))) / c(h)  +  (D1 N1(h) + D2 N2(h) + D3 N3(h)) / c(h)  p(w | h')

where h' is h without its first word, Nk(h) is the number of words seen k times after h (N3: three
times or more), and D(c) is one of three discounts. At the highest order c counts occurrences; below
it, the distinct words that came before. The unigrams are interpolated with the uniform
distribution, and a context that was never seen passes to the next order untouched.

    python -m attnscope.models.fable.kneser_ney TEXT_FILE --tokenizer DIRECTORY
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attnscope.models.fable.corpus import TokenIds, encode, load_tokenizer, read_split

Discounts = NDArray[np.float64]
"""D0 = 0, D1, D2 and D3+ of one order, shape (4,): indexed by a count cut off at 3."""

_DEVELOPMENT_EVERY = 10
_SMALLEST_STEP = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The counts of all n-grams of one length, as sorted codes that can be searched."""

    grams: TokenIds
    """Codes of the n-grams seen, ascending, shape (grams,)."""
    counts: TokenIds
    """How often each was seen (below the highest order: after how many distinct words)."""
    contexts: TokenIds
    """Codes of the contexts seen, ascending, shape (contexts,)."""
    totals: TokenIds
    """Sum of the counts after each context, shape (contexts,)."""
    classes: TokenIds
    """How many n-grams were counted 1, 2, 3+ times after each context, shape (contexts, 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one order knows of some tokens: all that the formula needs except the discounts."""

    counts: NDArray[np.float64]
    """Count of each token after its context, shape (tokens,)."""
    totals: NDArray[np.float64]
    """Sum of the counts after that context; 1 where it is unseen, shape (tokens,)."""
    classes: NDArray[np.float64]
    """Words counted 1, 2, 3+ times after that context, shape (tokens, 3)."""
    seen: NDArray[np.bool_]
    """Whether the context was seen, shape (tokens,)."""


class KneserNey:
    """Interpolated modified Kneser-Ney model of token sequences."""

    def __init__(self, documents: Sequence[TokenIds], vocabulary: int, order: int = 3) -> None:
        """Count the n-grams of `documents`; discounts start at their closed form."""
        if vocabulary**order > np.iinfo(np.int64).max:
            raise ValueError(f"{order}-grams of {vocabulary} words do not fit 64 bits")
        self.vocabulary = vocabulary
        self.orders = _count(documents, vocabulary, order)
        self.discounts = [closed_form_discounts(level.counts) for level in self.orders]

    def probabilities(self, context: Sequence[int] | TokenIds) -> NDArray[np.float64]:
        """Return the distribution over the next token, shape (vocab,)."""
        words = np.arange(self.vocabulary)
        history = np.full(len(self.orders) - 1, -1)
        tail = list(context)[max(0, len(context) - len(history)) :]
        history[len(history) - len(tail) :] = tail
        rows = np.broadcast_to(history, (self.vocabulary, len(history)))
        return self._mix(self._evidence(np.column_stack([rows, words])), self.discounts)

    def losses(self, document: TokenIds) -> NDArray[np.float64]:
        """Return -ln p of every token of `document` but the first, shape (tokens - 1,)."""
        rows = _windows(document, len(self.orders))
        return -np.log(self._mix(self._evidence(rows), self.discounts))

    def fit_discounts(self, documents: Sequence[TokenIds]) -> None:
        """Lower the loss on `documents` by coordinate descent over all the discounts."""
        rows = np.concatenate([_windows(document, len(self.orders)) for document in documents])
        evidence = self._evidence(rows)
        step = 0.1
        best = self._loss(evidence, self.discounts)
        while step >= _SMALLEST_STEP:
            before = best
            for candidate in self._neighbours(step):
                loss = self._loss(evidence, candidate)
                if loss < best:
                    best, self.discounts = loss, candidate
            if best == before:
                step /= 2

    def _neighbours(self, step: float) -> Iterator[list[Discounts]]:
        for level in range(len(self.discounts)):
            for count in (1, 2, 3):
                for change in (-step, step):
                    candidate = [discounts.copy() for discounts in self.discounts]
                    candidate[level][count] = np.clip(candidate[level][count] + change, 0, count)
                    yield candidate

    def _loss(self, evidence: list[Evidence], discounts: list[Discounts]) -> float:
        return float(-np.log(self._mix(evidence, discounts)).mean())

    def _mix(self, evidence: list[Evidence], discounts: list[Discounts]) -> NDArray[np.float64]:
        probability = np.full(len(evidence[0].counts), 1 / self.vocabulary)
        for level, discount in zip(evidence, discounts, strict=True):
            kept = level.counts - discount[np.minimum(level.counts, 3).astype(int)]
            mixed = (kept + level.classes @ discount[1:] * probability) / level.totals
            probability = np.where(level.seen, mixed, probability)
        return probability

    def _evidence(self, rows: TokenIds) -> list[Evidence]:
        """Look up every order; a row is the context and then the token, -1 for no context."""
        return [
            _look_up(level, rows[:, -length:], self.vocabulary)
            for length, level in enumerate(self.orders, start=1)
        ]


def closed_form_discounts(counts: TokenIds) -> Discounts:
    """Return the discounts from the counts of counts (Chen and Goodman, equation 26)."""
    # No count of counts is 0 in a real text; in a tiny one the division must still work.
    once, twice, thrice, four_times = np.bincount(np.minimum(counts, 5), minlength=5)[1:5].clip(1)
    share = once / (once + 2 * twice)
    one = 1 - 2 * share * twice / once
    two = 2 - 3 * share * thrice / twice
    three = 3 - 4 * share * four_times / thrice
    return np.array([0, np.clip(one, 0, 1), np.clip(two, 0, 2), np.clip(three, 0, 3)])


def fitted_model(documents: Sequence[TokenIds], vocabulary: int, order: int = 3) -> KneserNey:
    """Count all of `documents`, with discounts fitted on parts that a first model has not seen."""
    pieces = [piece for document in documents for piece in _pieces(document)]
    development = pieces[::_DEVELOPMENT_EVERY]
    rest = [piece for index, piece in enumerate(pieces) if index % _DEVELOPMENT_EVERY]
    trial = KneserNey(rest, vocabulary, order)
    trial.fit_discounts(development)
    model = KneserNey(documents, vocabulary, order)
    model.discounts = trial.discounts
    return model


def _pieces(document: TokenIds, size: int = 1000) -> list[TokenIds]:
    return [document[start : start + size] for start in range(0, len(document), size)]


def _windows(document: TokenIds, length: int) -> TokenIds:
    padded = np.concatenate([np.full(length - 2, -1), document]) if length > 1 else document[1:]
    return np.lib.stride_tricks.sliding_window_view(padded, length)


def _codes(rows: TokenIds, vocabulary: int) -> TokenIds:
    codes = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        codes = codes * vocabulary + column
    return np.where((rows < 0).any(axis=1), -1, codes)


def _count(documents: Sequence[TokenIds], vocabulary: int, order: int) -> list[Order]:
    views = [
        np.lib.stride_tricks.sliding_window_view(document, order)
        for document in documents
        if len(document) >= order
    ]
    grams, counts = np.unique(_codes(np.concatenate(views), vocabulary), return_counts=True)
    levels = [_order(grams, counts, vocabulary)]
    for length in range(order - 1, 0, -1):
        grams, counts = np.unique(grams % vocabulary**length, return_counts=True)
        levels.append(_order(grams, counts, vocabulary))
    return levels[::-1]


def _order(grams: TokenIds, counts: TokenIds, vocabulary: int) -> Order:
    contexts, index = np.unique(grams // vocabulary, return_inverse=True)
    totals = np.bincount(index, weights=counts).astype(np.int64)
    classes = np.zeros((len(contexts), 3), dtype=np.int64)
    np.add.at(classes, (index, np.minimum(counts, 3) - 1), 1)
    return Order(grams=grams, counts=counts, contexts=contexts, totals=totals, classes=classes)


def _look_up(level: Order, rows: TokenIds, vocabulary: int) -> Evidence:
    gram, gram_seen = _find(level.grams, _codes(rows, vocabulary))
    context, seen = _find(level.contexts, _codes(rows[:, :-1], vocabulary))
    return Evidence(
        counts=np.where(gram_seen, level.counts[gram], 0).astype(float),
        totals=np.where(seen, level.totals[context], 1).astype(float),
        classes=level.classes[context].astype(float),
        seen=seen,
    )


def _find(sorted_codes: TokenIds, codes: TokenIds) -> tuple[TokenIds, NDArray[np.bool_]]:
    index = np.minimum(np.searchsorted(sorted_codes, codes), len(sorted_codes) - 1)
    return index, sorted_codes[index] == codes


def main() -> None:
    """Print the held-out loss of the baseline, in nats per token."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("text", type=Path, help="the text file that the model was trained on")
    parser.add_argument("--tokenizer", type=Path, required=True, help="directory of the model")
    parser.add_argument("--order", type=int, default=3, help="3 for trigrams")
    arguments = parser.parse_args()
    tokenizer = load_tokenizer(arguments.tokenizer)
    split = read_split(arguments.text)
    training = [encode(tokenizer, document) for document in split.training]
    held_out = [encode(tokenizer, document) for document in split.held_out]
    model = fitted_model(training, len(tokenizer), arguments.order)
    losses = np.concatenate([model.losses(document) for document in held_out])
    sys.stdout.write(f"{losses.mean():.4f} nats per token on {len(losses):,} held-out tokens\n")


if __name__ == "__main__":
    main()
