"""Ways to damage a model directory, and to catch what is said about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attnscope.errors import LoadError
from attnscope.load import LoadOptions, load


def edit_config(directory: Path, **fields: object) -> None:
    """Set fields of a config.json."""
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def failure(model: Path | str, **options: Any) -> LoadError:
    """The one-line error that loading ends with."""
    with pytest.raises(LoadError) as caught:
        load(LoadOptions(model=str(model), **options))
    assert "\n" not in str(caught.value)
    return caught.value
