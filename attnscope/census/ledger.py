"""The rows of a census as a JSON-lines file that grows row by row, and is never half a file.

Its first line says what the rows were made with; a file of several shards, one after the other, has
several such lines, which must agree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from attnscope.errors import OutputError, SelectionError
from attnscope.records.census import Census, Found, Row

HEAD, FORMAT = "attnscope census", 1
"""The field by which a heading is known, and its value: the form of the lines."""


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
    """Rows in a file. What is there already is kept, but for a last line that is cut short."""

    def __init__(self, path: Path, heading: Heading) -> None:
        """Read what is there.

        Raises SelectionError for rows that were made otherwise, OutputError for a file that is no
        ledger, or cannot be read or written.
        """
        lines = _whole_lines(path)
        found, self.rows = _parsed(path, lines) if lines else (heading, {})
        require_same(path, heading, found)
        self._path, self.heading = path, found
        self._file = _opened(path, lines or [_line(_head(heading))])

    def add(self, row: Row) -> None:
        """Keep one more row, on disk when this returns."""
        self.rows[row.key] = row
        try:
            self._file.write(_line(asdict(row)))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """Nothing more will be added."""
        self._file.close()


def read(path: Path) -> Census:
    """The census that a file holds, of several shards one after the other, too.

    Raises OutputError for a file that is none, SelectionError for shards that were made otherwise.
    """
    lines = _whole_lines(path)
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
        raise OutputError(
            f"{str(path)!r} is no file of census rows ({type(error).__name__}).",
            "Name another file, or remove this one.",
        ) from error
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
    """A row from its line; raises KeyError, TypeError or AttributeError where it is none."""
    values = {one.name: data[one.name] for one in fields(Row)}
    for name in ("mixers", "seam", "backends", "unpromised"):
        values[name] = tuple(values[name])
    for name in ("without", "families"):
        values[name] = tuple((str(one), str(other)) for one, other in values[name])
    values["findings"] = tuple(Found(**one) for one in values["findings"])
    return Row(**values)


def _whole_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{str(path)!r} cannot be read: {error}.") from error
    lines = text.splitlines(keepends=True)
    return lines if not lines or lines[-1].endswith("\n") else lines[:-1]


def _opened(path: Path, lines: Sequence[str]) -> TextIO:
    """The file, holding these lines and open for more."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text("".join(lines), encoding="utf-8")
        beside.replace(path)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(f"{str(path)!r} cannot be written: {reason}.")


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
    return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"


def _said(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    return ", ".join(one if isinstance(one, str) else " ".join(one) for one in value)
