"""Files written all or nothing."""

from __future__ import annotations

import os
from pathlib import Path

from attnscope.errors import OutputError


def require_place(path: Path) -> None:
    """Tell a path that cannot be written before long work is done for it.

    Raises OutputError when its directory is missing or closed to us, or it is one itself.
    """
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise OutputError(f"{str(path)!r} cannot be written: is a directory.")
    if not place.parent.is_dir():
        raise OutputError(f"{str(path)!r} cannot be written: no such file or directory.")
    if not os.access(place if place.exists() and not place.is_file() else place.parent, os.W_OK):
        raise OutputError(f"{str(path)!r} cannot be written: permission denied.")


def write(path: Path, content: str | bytes) -> None:
    """A file all or nothing: written beside its place, then moved there.

    What is there and no file (a device, a pipe) is written to, never replaced. Text is UTF-8.

    Raises OutputError when it cannot be written.
    """
    place = Path(os.path.realpath(path))
    data = content.encode() if isinstance(content, str) else content
    try:
        if place.exists() and not place.is_file():
            place.write_bytes(data)
        else:
            _write_whole(place, data)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{str(path)!r} cannot be written: {reason}.") from error


def _write_whole(place: Path, content: bytes) -> None:
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, place)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
