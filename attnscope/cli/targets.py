"""Which models `verify-mask` judges and how: the command line first, then the pyproject.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.cli.lists import OWN, parse_kernels, parse_words
from attnscope.cli.loading import require_shared
from attnscope.cli.prompt import parse_ids
from attnscope.errors import ProjectError, SelectionError
from attnscope.project import FILE, HOME, SETTINGS, UNSAFE, Listed, Project, find

if TYPE_CHECKING:
    from attnscope.load import LoadOptions
    from attnscope.verification import VerifyOptions

ON_THE_LINE = (*SETTINGS, *UNSAFE, "ids")
"""Parameters of the command that say what is asked of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One model to judge."""

    model: str
    """Its name in the report."""
    location: str
    """What is loaded."""
    settings: Mapping[str, Any]
    """What was asked for; everything else is as the records' defaults say."""
    root: Path | None = None
    """The directory of the project that lists it, to which the project's baseline belongs and from
    which a factory is imported; None for a model that only the command line names."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where a setting is written in a file, for an error; without those of the command line."""

    def place(self, name: str) -> str:
        """Where a setting was said."""
        return self.places.get(name, f"--{name.replace('_', '-')}")

    @property
    def note(self) -> str:
        """What the file decided about this verdict; empty for nothing."""
        told = [f"{name} = {_said(self.settings[name])}" for name in self.places]
        return f"asked as {FILE} says: {', '.join(told)}." if told else ""


def settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line asks of every model, out of all arguments of the command: None, and a
    flag that only the command line has, are what nobody said.

    Raises SelectionError and PromptError for a list that is none.
    """
    require_shared()
    parsers: dict[str, Callable[[Any], Any]] = {
        "backend": parse_kernels,
        "select": partial(parse_words, option="--select"),
        "ignore": partial(parse_words, option="--ignore"),
        "ids": lambda text: tuple(parse_ids(text)),
    }
    given = {name: arguments[name] for name in ON_THE_LINE if arguments.get(name) is not None}
    parsed = {name: parsers.get(name, _plain)(value) for name, value in given.items()}
    return {name: value for name, value in parsed.items() if value or name not in UNSAFE}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def targets(
    models: Sequence[str], project: Project | None, line: Mapping[str, Any], *, own_tokens: bool
) -> tuple[Target, ...]:
    """The models to judge: those that are named, or else those of the project.

    What the file says counts for the models that it lists, and for no other. `own_tokens` is True
    where the command line gives the tokens, so that a length from the file is beside the point.
    Raises SelectionError where there is none or one twice, and ProjectError for a wrong value.
    """
    if models:
        return tuple(_named(model, project, line, own_tokens) for model in _once(models))
    if project is None:
        raise SelectionError(
            f"There is no MODEL, and no {FILE} here or above has a {HOME} table.",
            "Say `attnscope verify-mask MODEL`, or list models in such a table:"
            ' models = ["./checkpoint"].',
        )
    if not project.models:
        raise ProjectError(
            f"{project.path} {HOME} lists no models.", 'Say models = ["./checkpoint"], or a MODEL.'
        )
    return tuple(_target(one, project.path.parent, line, own_tokens) for one in project.models)


def _once(models: Sequence[str]) -> Sequence[str]:
    for number, model in enumerate(models):
        if model in models[:number]:
            raise SelectionError(f"The model {model[:40]!r} is named twice.", "Name it once.")
    return models


def _named(
    model: str, project: Project | None, line: Mapping[str, Any], own_tokens: bool
) -> Target:
    """As the project lists it, or else as the command line alone says."""
    if project is not None:
        for one in project.models:
            if one.model == model:
                return _target(one, project.path.parent, line, own_tokens)
    return Target(model=model, location=model, settings=line)


def _target(one: Listed, root: Path, line: Mapping[str, Any], own_tokens: bool) -> Target:
    left = {name: value for name, value in one.settings.items() if name not in line}
    if own_tokens:
        left.pop("length", None)
    if "backend" in left:
        left["backend"] = parse_kernels(",".join(left["backend"]), one.places["backend"])
    for name in {"select", "ignore"} & left.keys():
        left[name] = parse_words(left[name], one.places[name])
    return Target(
        model=one.model,
        location=one.location,
        settings={**left, **line},
        root=root,
        places={name: one.places[name] for name in left},
    )


def options(target: Target) -> tuple[LoadOptions, VerifyOptions]:
    """How a target is loaded and what it is asked.

    Raises SelectionError for a check or an expectation that there is not, told where it was said.
    """
    from dataclasses import fields

    from attnscope import LoadOptions
    from attnscope.cli.codes import require_checks
    from attnscope.declared import parse_expect
    from attnscope.verification import VerifyOptions

    chosen = dict(target.settings)
    for name in ("select", "ignore"):
        require_checks(chosen.get(name, ()), target.place(name))
    if "expect" in chosen:
        parse_expect(chosen["expect"], target.place("expect"))
    backends = chosen.pop("backend", ())
    asked = {one.name: chosen.pop(one.name) for one in fields(VerifyOptions) if one.name in chosen}
    known = {one.name for one in fields(LoadOptions)}
    if unknown := [name for name in chosen if name not in known]:
        raise ProjectError(f"{target.place(unknown[0])} is not known to this version.")
    alone = len(backends) == 1 and backends[0] not in {"all", *OWN}
    loading = {"model": target.location, "backend": backends[0] if alone else "auto", **chosen}
    return LoadOptions(**loading), VerifyOptions(backends=backends, **asked)


def project_here() -> Project | None:
    """The project of the current directory."""
    return find(Path.cwd())


def _said(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value).lower()
