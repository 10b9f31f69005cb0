"""The file of accepted findings: JSON, one block a finding, sorted, so that it can be reviewed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from attnscope.errors import BaselineError

SCHEMA = 1
PLACE = ("model", "code", "condition", "backend", "module")
"""What an accepted finding is known by."""
MAY_BE_EMPTY = frozenset({"condition", "module"})
"""A check with one condition only, a finding that enters at no one module."""
REQUIRED = (*PLACE, "reason")
KEYS = (*REQUIRED, "expires")

Place = tuple[str, str, str, str, str]
"""The values of `PLACE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One accepted finding."""

    model: str
    """The model's name in reports."""
    code: str
    """The check, for example `ATN301`."""
    condition: str
    """The condition's name; empty for a check that has only one."""
    backend: str
    """Attention implementation; for checks between backends, all of them."""
    module: str
    """Where it enters; empty where none can be told."""
    reason: str
    """Why it is accepted."""
    expires: date | None = None
    """Last day on which it is; None: for good."""

    @property
    def place(self) -> Place:
        """What it is known by."""
        return self.model, self.code, self.condition, self.backend, self.module

    @property
    def words(self) -> str:
        """Code, condition, backend and module: `ATN301 (left padding, sdpa, model.layers.0)`."""
        where = ", ".join(filter(None, (self.condition, self.backend, self.module)))
        return f"{self.code} ({where})"

    @property
    def ended(self) -> str:
        """What is said of a finding whose acceptance has expired."""
        return f"Its acceptance expired on {self.expires} ({self.reason})."

    def accepts(self, today: date) -> bool:
        """False from the day after it expires."""
        return self.expires is None or today <= self.expires


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accepted findings, each of them once."""

    entries: Mapping[Place, Entry] = field(default_factory=dict)
    """By what they are known by."""

    def of(self, model: str) -> tuple[Entry, ...]:
        """The entries of one model."""
        return tuple(entry for entry in self.entries.values() if entry.model == model)


def baseline_of(entries: Iterable[Entry]) -> Baseline:
    """These entries, sorted; of two for one finding the later one."""
    known = {entry.place: entry for entry in entries}
    return Baseline({place: known[place] for place in sorted(known)})


def text(baseline: Baseline) -> str:
    """What `read` reads."""
    listed = [_block(baseline.entries[place]) for place in sorted(baseline.entries)]
    return json.dumps({"schema": SCHEMA, "findings": listed}, indent=2) + "\n"


def _block(entry: Entry) -> dict[str, str]:
    block = {name: str(getattr(entry, name)) for name in REQUIRED}
    return block if entry.expires is None else block | {"expires": entry.expires.isoformat()}


def read(path: Path) -> Baseline:
    """The baseline in a file.

    Raises BaselineError, in one line that names the file and the place in it.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except FileNotFoundError as error:
        raise BaselineError(
            f"The baseline {str(path)!r} does not exist.", "--write-baseline makes one."
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BaselineError(f"The baseline {str(path)!r} cannot be read: {reason}.") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "", f"is no JSON ({str(error).splitlines()[0]})") from error
    return baseline_of(_entries(path, _listed(path, data)))


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError for a key that is written twice, of which one would be lost."""
    named = dict(pairs)
    if len(named) < len(pairs):
        twice = next(name for name, _ in pairs if [key for key, _ in pairs].count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} is written twice")
    return named


def _listed(path: Path, data: Any) -> Sequence[Any]:
    if not isinstance(data, dict):
        raise _wrong(path, "", 'is no JSON object with "schema" and "findings"')
    schema = data.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise _wrong(path, "schema", f"is {_short(schema)}; this version reads {SCHEMA}")
    if unknown := [name for name in data if name not in {"schema", "findings"}]:
        raise _wrong(path, "", f"has an unknown key {_short(unknown[0])}")
    findings = data.get("findings")
    if not isinstance(findings, list):
        raise _wrong(path, "findings", "is no list")
    return findings


def _entries(path: Path, findings: Sequence[Any]) -> list[Entry]:
    seen: dict[Place, int] = {}
    entries = []
    for number, block in enumerate(findings):
        place = f"findings[{number}]"
        entry = _entry(path, place, block)
        if (before := seen.setdefault(entry.place, number)) != number:
            raise _wrong(path, place, f"is the same finding as findings[{before}]")
        entries.append(entry)
    return entries


def _entry(path: Path, place: str, block: Any) -> Entry:
    if not isinstance(block, dict):
        raise _wrong(path, place, "is no object")
    for name in block:
        if name not in KEYS:
            near = get_close_matches(name, KEYS, n=1)
            told = f"; did you mean {near[0]!r}?" if near else ""
            raise _wrong(path, place, f"has an unknown key {_short(name)}{told}")
    for name in REQUIRED:
        _require_words(path, place, block, name)
    code = block["code"]
    if not re.fullmatch(r"ATN[0-9]{3}", code):
        raise _wrong(path, f"{place}.code", f"is {_short(code)}; a code is one such as ATN301")
    return Entry(
        **{name: block[name] for name in REQUIRED},
        expires=_date(path, f"{place}.expires", block["expires"]) if "expires" in block else None,
    )


def _require_words(path: Path, place: str, block: Mapping[str, Any], name: str) -> None:
    if name not in block:
        raise _wrong(path, place, f"has no {name!r}")
    value = block[name]
    if not isinstance(value, str):
        raise _wrong(path, f"{place}.{name}", f"is {_short(value)} and no text")
    if not value.strip() and name not in MAY_BE_EMPTY:
        why = "; say why the finding is accepted" if name == "reason" else ""
        raise _wrong(path, f"{place}.{name}", f"is empty{why}")


def _date(path: Path, place: str, value: Any) -> date:
    given = value if isinstance(value, str) else ""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
            return date.fromisoformat(given)
    except ValueError:
        pass
    raise _wrong(path, place, f"is {_short(value)} and no date such as 2027-01-31")


def _wrong(path: Path, place: str, words: str) -> BaselineError:
    where = f", {place}" if place else ""
    return BaselineError(f"The baseline {str(path)!r}{where} {words}.")


def _short(value: Any) -> str:
    written = json.dumps(value)
    return written if len(written) <= 40 else f"{written[:39]}…"
