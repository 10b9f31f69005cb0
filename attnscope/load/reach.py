"""Is the hub there? Without this question, every file is asked for again and again for minutes."""

from __future__ import annotations

from typing import Any

from huggingface_hub import constants, get_session

from attnscope.load.failures import HTTPError

PATIENCE = 5.0
"""Seconds that the hub has to answer."""


def hub_answers() -> bool:
    """True when the Hugging Face hub gives any answer at all to one request, made once."""
    if constants.HF_HUB_OFFLINE:
        return False
    session: Any = get_session()
    try:
        session.head(constants.ENDPOINT, timeout=PATIENCE)
    except (HTTPError, OSError):
        return False
    return True
