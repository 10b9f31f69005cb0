"""`[tool.attnscope]` in a pyproject.toml: which models a repository verifies, and how.

    [tool.attnscope]
    baseline = "attnscope-baseline.json"
    quick = true

    [[tool.attnscope.models]]
    model = "checkpoints/tiny"
    expect = "sliding:64"

An option beside `models` is the default of all of them. What runs somebody else's code is not taken
from a file that comes with a repository.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from attnscope.errors import ProjectError

FILE = "pyproject.toml"
HOME = "[tool.attnscope]"

DTYPES = ("auto", "float32", "bfloat16", "float16")
WEIGHTS = ("real", "random")

UNSAFE = {
    "trust_remote_code": "--trust-remote-code",
    "allow_pickle": "--allow-pickle",
}
"""Options that let a model run code: only who runs the command may give them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One model of the list."""

    model: str
    """As written: its name in reports and in a baseline."""
    location: str
    """What is loaded: a path that is relative to the file is made absolute."""
    settings: Mapping[str, Any]
    """Its options and, where it has none of its own, those of all models; lists are tuples."""
    places: Mapping[str, str]
    """Where each of them is written, for an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a pyproject.toml asks for."""

    path: Path
    """The file."""
    models: tuple[Listed, ...]
    """In its order."""
    baseline: Path | None
    """Accepted findings; None without any."""


def find(start: Path) -> Project | None:
    """The project of a directory: of the first pyproject.toml with a `[tool.attnscope]` table in it
    or above it; None without one.

    Raises ProjectError, in one line that names the file and the place in it.
    """
    for directory in (start.resolve(), *start.resolve().parents):
        path = directory / FILE
        if os.path.isfile(path) and (table := _table(path)) is not None:
            return _project(path, table, start.resolve())
    return None


def _table(path: Path) -> Any:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {(error.strerror or '').lower()}.") from error
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{path} is no TOML: {str(error).splitlines()[0]}.") from error
    tool = data.get("tool", {})
    return tool.get("attnscope") if isinstance(tool, dict) else None


def _project(path: Path, table: Any, start: Path) -> Project:
    home = f"{path} {HOME}"
    if not isinstance(table, dict):
        raise ProjectError(f"{home} is no table.")
    _require_known(table, home, ("models", "baseline", *SETTINGS))
    common = {name: table[name] for name in SETTINGS if name in table}
    defaults = _settings(common, home)
    baseline = table.get("baseline")
    if baseline is not None:
        _text(baseline, f"{home} baseline")
    models = tuple(_models(path, table.get("models", []), defaults, start))
    _require_once(models, home)
    return Project(
        path=path, models=models, baseline=None if baseline is None else path.parent / baseline
    )


def _models(path: Path, models: Any, defaults: Mapping[str, Any], start: Path) -> Iterator[Listed]:
    home = f"{path} {HOME}"
    if not isinstance(models, list):
        raise ProjectError(f'{home} models is no list, such as ["fable", "textbook"].')
    for number, given in enumerate(models, 1):
        one = {"model": given} if isinstance(given, str) else given
        place = f"{home} model {number}"
        if not isinstance(one, dict):
            raise ProjectError(f"{place} is {_short(given)} and no table with a model in it.")
        if "model" not in one:
            raise ProjectError(f"{place} does not say which: it has no key 'model'.")
        name = _text(one["model"], f"{place} model")
        place = f"{place} ({_short(name)})"
        _require_known(one, place, ("model", *SETTINGS))
        own = _settings({key: one[key] for key in one if key != "model"}, place)
        places = dict.fromkeys(defaults, home) | dict.fromkeys(own, place)
        yield Listed(
            model=name,
            location=_location(name, path.parent, start),
            settings={**defaults, **own},
            places={key: f"{where} {key}" for key, where in places.items()},
        )


def _location(name: str, root: Path, start: Path) -> str:
    """A path that is written relative to the file, where it is; other names as they are."""
    path, colon, factory = name.partition(":")
    written = path.startswith(("./", "../"))
    # package.module:factory, where the package is a directory here
    package = bool(colon) and "/" not in path and (root / path).is_dir()
    if root == start or Path(path).is_absolute() or package:
        return name
    if not (written or (root / path).exists()):
        return name
    return f"{root / path}{colon}{factory}"


def _require_once(models: tuple[Listed, ...], home: str) -> None:
    seen: set[str] = set()
    for one in models:
        if one.model in seen:
            raise ProjectError(f"{home} lists the model {_short(one.model)} twice.")
        seen.add(one.model)


def _require_known(table: Mapping[str, Any], place: str, known: tuple[str, ...]) -> None:
    for name in table:
        if name.replace("-", "_") in UNSAFE:
            raise ProjectError(
                f"{place} {name} would let a model's files run code,"
                " which a file of a repository may not allow.",
                f"Give {UNSAFE[name.replace('-', '_')]} on the command line.",
            )
        if name not in known:
            near = get_close_matches(name.replace("-", "_"), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
            raise ProjectError(f"{place} has an unknown key {_short(name)}.", hint)


def _settings(given: Mapping[str, Any], place: str) -> dict[str, Any]:
    return {name: SETTINGS[name](value, f"{place} {name}") for name, value in given.items()}


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ProjectError(f"{place} is {_short(value)} and no text.")
    return value


def _words(value: Any, place: str) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words:
        raise ProjectError(f"{place} is {_short(value)} and no text or list of texts.")
    return tuple(_text(word, place) for word in words)


def _flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise ProjectError(f"{place} is {_short(value)} and neither true nor false.")
    return value


def _number(least: int, most: int = 2**63 - 1) -> Callable[[Any, str], int]:
    def number(value: Any, place: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ProjectError(f"{place} is {_short(value)} and no whole number from {least} on.")
        return value

    return number


def _choice(choices: tuple[str, ...]) -> Callable[[Any, str], str]:
    def choice(value: Any, place: str) -> str:
        if value not in choices:
            near = get_close_matches(str(value), choices, n=1)
            told = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(choices)}."
            raise ProjectError(f"{place} is {_short(value)}.", told)
        return str(value)

    return choice


SETTINGS: Mapping[str, Callable[[Any, str], Any]] = {
    "expect": _text,
    "select": _words,
    "ignore": _words,
    "quick": _flag,
    "length": _number(2),
    "seed": _number(0),
    "budget": _number(1),
    "prove": _flag,
    "backend": _words,
    "weights": _choice(WEIGHTS),
    "dtype": _choice(DTYPES),
    "device": _text,
    "revision": _text,
    "device_map": _text,
    "vocab_size": _number(1),
}
"""The options of `verify-mask` that a file may set, under the names that they have in Python, each
with what reads its value (for an error, with the place where it stands)."""


def _short(value: Any) -> str:
    written = repr(value)
    return written if len(written) <= 40 else f"{written[:39]}…"
