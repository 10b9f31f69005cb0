"""The rows of a census as a JSON-lines file that grows row by row, and is never half a file.

Its first line says what the rows were made with; a file of several shards, one after the other, has
several such lines, which must agree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, TextIO, get_args

from attnscope.errors import OutputError, SelectionError
from attnscope.records.census import Accepted, Census, Found, Row, State
from attnscope.report import Outcome

HEAD, FORMAT = "attnscope census", 1
"""The field by which a heading is known, and its value: the form of the lines."""

NEW: Mapping[str, Any] = {"otherwise": None, "accepted": ()}
"""Fields of a row that earlier files lack, and what stands for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What rows were made with."""

    versions: tuple[tuple[str, str], ...]
    """Package to version."""
    date: str
    """When it was begun."""
    quick: bool
    """See `Census.quick`."""
    backends: tuple[str, ...]
    """Asked for."""
    seed: int
    """Of weights and tokens."""

    @property
    def must_agree(self) -> dict[str, Any]:
        """What rows in one table have in common."""
        return {name: value for name, value in asdict(self).items() if name != "date"}


class Ledger:
    """Rows in a file that no one else writes meanwhile. What is there already is kept, but for a
    last line that is cut short.
    """

    def __init__(self, path: Path, heading: Heading) -> None:
        """Open the file, make it if it is missing, and read what is there.

        Raises SelectionError for rows that were made otherwise, OutputError for a file that is no
        ledger, that another census is writing, or that cannot be read or written.
        """
        self._path, self.heading, self.rows = path, heading, dict[str, Row]()
        self._file = _opened(path)
        try:
            text = _text(path, self._file)
            lines = _whole_lines(text)
            if text:
                self.heading, self.rows = _parsed(path, lines or [text])
                require_same(path, heading, self.heading)
            self._settle(text, lines)
        except BaseException:
            self._file.close()
            raise

    def _settle(self, text: str, lines: Sequence[str]) -> None:
        """Make the file hold whole lines, a heading first."""
        kept = "\n".join(lines)
        if len(kept) < len(text):
            self._file.truncate(len(kept.encode()))
        self._write("\n" if lines else _line(_head(self.heading)))

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def add(self, row: Row) -> None:
        """Keep one more row, on disk when this returns."""
        self.rows[row.key] = row
        self._write(_line(asdict(row)))

    def close(self) -> None:
        """Nothing more will be added; others may write now."""
        self._file.close()


def read(path: Path) -> Census:
    """The census that a file holds, of several shards one after the other, too.

    Raises OutputError for a file that is none, SelectionError for shards that were made otherwise.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = _whole_lines(_text(path, file))
    except OSError as error:
        raise OutputError(f"{str(path)!r} cannot be read: {_reason(error)}.") from error
    if not lines:
        raise OutputError(f"{str(path)!r} holds no census rows.", "Was it written by --resume?")
    heading, rows = _parsed(path, lines)
    return table(heading, [rows[key] for key in sorted(rows)])


def table(heading: Heading, rows: Sequence[Row]) -> Census:
    """Rows under the heading that they were made with."""
    return Census(
        rows=tuple(rows), versions=heading.versions, date=heading.date, quick=heading.quick,
        backends=heading.backends, seconds=sum(row.seconds for row in rows),
    )  # fmt: skip


def _parsed(path: Path, lines: Sequence[str]) -> tuple[Heading, dict[str, Row]]:
    rows: dict[str, Row] = {}
    try:
        heading = _heading(json.loads(lines[0]))
        for line in lines[1:]:
            data = json.loads(line)
            if HEAD in data:
                other = _heading(data)
                require_same(path, heading, other)
                heading = min(heading, other, key=lambda one: one.date)
            else:
                row = row_from(data)
                rows[row.key] = row
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_ledger(path, type(error).__name__) from error
    return heading, rows


def require_same(path: Path, wanted: Heading, found: Heading) -> None:
    """Raise SelectionError where rows of a file were made with something else."""
    ours, theirs = wanted.must_agree, found.must_agree
    other = [name for name in ours if ours[name] != theirs[name]]
    if other:
        name = other[0]
        raise SelectionError(
            f"Rows in {str(path)!r} were made with other {name}: {_said(theirs[name])}, not"
            f" {_said(ours[name])}.",
            "Resume with what they were made with, or name another file.",
        )


def row_from(data: Mapping[str, Any]) -> Row:
    """A row from its line; raises KeyError, TypeError, ValueError where it is none."""
    names = [one.name for one in fields(Row)]
    values = {name: data[name] if name in data else NEW[name] for name in names}
    for name in ("mixers", "seam", "backends", "unpromised"):
        values[name] = tuple(values[name])
    for name in ("without", "families"):
        values[name] = tuple((str(one), str(other)) for one, other in values[name])
    values["findings"] = tuple(Found(**one) for one in values["findings"])
    values["accepted"] = tuple(
        Accepted(found=Found(**one["found"]), reason=one["reason"]) for one in values["accepted"]
    )
    row = Row(**values)
    known = {outcome for _, outcome in row.families} <= {*get_args(Outcome)}
    known &= {row.state, row.otherwise or row.state} <= {*get_args(State)}
    if not known or not isfinite(row.seconds):
        raise ValueError(row.key)
    return row


def _opened(path: Path) -> TextIO:
    """The file behind a path, to be read and added to, locked against another census."""
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        raise OutputError(
            f"{str(path)!r} is no file in which rows can be kept.", "Name another one."
        )
    try:
        file = place.open("a+", encoding="utf-8", newline="\n")
    except OSError as error:
        raise _unwritable(path, error) from error
    with suppress(ImportError):  # Windows has none
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise OutputError(
                f"{str(path)!r} is in use by another census.", "Give each share a file of its own."
            ) from error
    return file


def _text(path: Path, file: TextIO) -> str:
    try:
        file.seek(0)
        return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{str(path)!r} cannot be read: {_reason(error)}.") from error


def _whole_lines(text: str) -> list[str]:
    """The lines of a file, without one that was cut short while it was written."""
    *lines, last = text.split("\n")
    try:
        return [*lines, last] if last and isinstance(json.loads(last), dict) else lines
    except ValueError:
        return lines


def _no_ledger(path: Path, why: str) -> OutputError:
    return OutputError(
        f"{str(path)!r} is no file of census rows ({why}).",
        "Name another file, or remove this one.",
    )


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{str(path)!r} cannot be written: {_reason(error)}.")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _head(heading: Heading) -> dict[str, Any]:
    return {HEAD: FORMAT, **asdict(heading)}


def _heading(data: Mapping[str, Any]) -> Heading:
    if data[HEAD] != FORMAT:
        raise ValueError(data[HEAD])
    return Heading(
        versions=tuple((str(name), str(version)) for name, version in data["versions"]),
        date=str(data["date"]),
        quick=bool(data["quick"]),
        backends=tuple(data["backends"]),
        seed=int(data["seed"]),
    )


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, allow_nan=False) + "\n"


def _said(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    return ", ".join(one if isinstance(one, str) else " ".join(one) for one in value)
