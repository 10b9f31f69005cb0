"""Masks in words: `causal & padding:left:2`, `sliding:3 | first:1`, and so on.

The kinds that `attnscope.kinds` lists, combined with `&` (both), `|` (either), `~` (not) and
brackets; `~` binds closest, then `&`, then `|`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from attnscope.errors import SelectionError
from attnscope.kinds import KINDS, Kind, Numbers
from attnscope.masks import Mask

LONGEST = 200
"""Characters of an expression."""
LARGEST = 10**9
"""Of the numbers in it."""

WORDS = {"and": "&", "or": "|", "not": "~"}

Build = Callable[[int], Mask]
"""From the number of tokens to a mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """An expression that was understood."""

    text: str
    """As it was written, without spaces around it."""
    build: Build
    """See `mask`."""
    needs: int
    """Tokens from which on it shows what it does."""
    documents: int
    """Tokens of the documents that it packs: it fits no other number; 0 where it packs none."""

    def mask(self, tokens: int) -> Mask:
        """The mask over `tokens` positions.

        Raises SelectionError, which points at the place, where it does not fit so many.
        """
        return self.build(tokens)


def parse(text: str, kinds: Sequence[Kind] = KINDS) -> Expression:
    """Read an expression.

    Raises SelectionError, which points at the place where it is not understood.
    """
    return _Parser(text.strip(), kinds).expression()


_PIECE = re.compile(r"[&|~()]|[^\s&|~()]+")
_SIGNS = frozenset("&|)")


class _Parser:
    """Recursive descent: either = both | both …, both = one & one …, one = ~one, (either), kind."""

    def __init__(self, text: str, kinds: Sequence[Kind]) -> None:
        self._text, self._kinds = text, kinds
        self._pieces = [(found[0], found.start()) for found in _PIECE.finditer(text)]
        self._next = 0
        self._needs, self._documents = 0, 0

    def expression(self) -> Expression:
        if len(self._text) > LONGEST:
            problem = f"A mask of {len(self._text)} characters is too long."
            raise SelectionError(problem, f"Use at most {LONGEST}.")
        build = self._either()
        if self._next < len(self._pieces):
            raise self._wrong("& or | is missing before it", self._next)
        return Expression(
            text=self._text, build=build, needs=self._needs, documents=self._documents
        )

    def _either(self) -> Build:
        left = self._both()
        while self._takes("|"):
            left = _joined(left, self._both(), Mask.__or__)
        return left

    def _both(self) -> Build:
        left = self._one()
        while self._takes("&"):
            left = _joined(left, self._one(), Mask.__and__)
        return left

    def _one(self) -> Build:
        if self._takes("~"):
            inner = self._one()
            return lambda tokens: ~inner(tokens)
        if self._takes("("):
            opened = self._next - 1
            inner = self._either()
            if not self._takes(")"):
                raise self._wrong("this bracket is not closed", opened)
            return inner
        return self._kind()

    def _kind(self) -> Build:
        place = self._next
        if place == len(self._pieces) or self._pieces[place][0] in _SIGNS:
            raise self._wrong("a kind of mask is missing here", place, self._usages())
        name, colon, rest = self._pieces[place][0].partition(":")
        called = [kind for kind in self._kinds if kind.name == name.lower()]
        for kind in called:
            if found := re.fullmatch(kind.pattern, colon + rest):
                self._next += 1
                return self._placed(kind, _numbers(found), place)
        if called:
            usages = " or ".join(kind.usage for kind in called)
            least = ", from 1 on" if called[0].pattern.startswith(":([1-9]") else ""
            raise self._wrong(f"it is written {usages}{least}", place)
        raise self._wrong(self._unknown(name.lower()), place, self._usages())

    def _placed(self, kind: Kind, numbers: Numbers, place: int) -> Build:
        if max(numbers, default=0) > LARGEST:
            raise self._wrong(f"numbers go up to {LARGEST:,}", place)
        self._needs = max(self._needs, kind.needs(numbers))
        if kind.name == "packed":
            self._documents = sum(numbers)

        def build(tokens: int) -> Mask:
            try:
                return kind.make(numbers, tokens)
            except ValueError as error:
                hint = "Draw it over other tokens: --length, or words."
                raise self._wrong(str(error), place, hint) from error

        return build

    def _takes(self, sign: str) -> bool:
        taken = self._next < len(self._pieces) and self._pieces[self._next][0] == sign
        self._next += taken
        return taken

    def _unknown(self, name: str) -> str:
        if name == "layer":
            return "only attnscope mask --model M --diff knows the layers of a model; give --model"
        if name in WORDS:
            return f"write {WORDS[name]} for {name}"
        near = get_close_matches(name, [kind.name for kind in self._kinds], n=1)
        return f"did you mean {near[0]}?" if near else "no kind of mask is called so"

    def _usages(self) -> str:
        usages = ", ".join(kind.usage for kind in self._kinds)
        return f"Kinds: {usages}; combine them with &, |, ~ and brackets."

    def _wrong(self, problem: str, place: int, hint: str = "") -> SelectionError:
        """Points at one piece of the text, or at its end."""
        where = "at its end"
        if place < len(self._pieces):
            piece, start = self._pieces[place]
            where = f"at {piece[:24]!r} (character {start + 1})"
        end = "" if problem.endswith("?") else "."
        message = f"The mask {self._text[:60]!r} is not understood {where}: {problem}{end}"
        return SelectionError(message, hint)


def _joined(left: Build, right: Build, operation: Callable[[Mask, Mask], Mask]) -> Build:
    return lambda tokens: operation(left(tokens), right(tokens))


def _numbers(found: re.Match[str]) -> Numbers:
    if not found.groups():
        return ()
    return tuple(int(number) for number in re.split("[,-]", found[1]))
