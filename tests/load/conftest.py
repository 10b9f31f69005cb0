"""Small models on disk, and no network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.tiny import save_tiny


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one small model a folder, without tokenizers."""
    directory = tmp_path_factory.mktemp("models")
    for name in ("llama", "gpt2", "bloom", "mamba"):
        save_tiny(name, directory / name)
    return directory


@pytest.fixture
def llama(stored: Path, tmp_path: Path) -> Path:
    """A copy of the small Llama, to be damaged."""
    return shutil.copytree(stored / "llama", tmp_path / "llama")
