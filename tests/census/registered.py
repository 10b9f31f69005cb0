"""Registered types as small models, as the census builds them."""

from __future__ import annotations

from attnscope.census.cases import cases
from attnscope.experiments.subject import Subject, subject_of
from attnscope.load import LoadedModel
from attnscope.load.registered import load_registered, registered_types


def loaded(key: str, backend: str | None = None, seed: int = 0) -> LoadedModel:
    """The model of one row, by its key."""
    case = next(case for case in cases(registered_types()) if case.key == key)
    return load_registered(case.model_type, case.fields, backend, seed)


def subject(key: str, backend: str | None = None) -> Subject:
    """Likewise, as experiments see it."""
    return subject_of(loaded(key, backend))
