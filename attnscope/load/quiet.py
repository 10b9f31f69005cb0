"""Loading without the libraries' chatter: stdout belongs to results."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as transformers_logging

NO_CONVERSION = "DISABLE_SAFETENSORS_CONVERSION"
"""Without it, transformers asks a hub service to open a pull request on models without safetensors:
an instrument should not write to other people's repositories."""

OTHERS = ("torch._dynamo", "torch._inductor", "accelerate")
"""Loggers that tell users of FlexAttention about each recompilation, and of a device map what is
offloaded."""


@contextmanager
def quiet(*, bars: bool) -> Iterator[None]:
    """Silence logs and warnings, send stray prints to stderr; progress bars only with `bars`.

    Everything is as it was afterwards.
    """
    verbosity = transformers_logging.get_verbosity(), hub_logging.get_verbosity()
    bars_before = transformers_logging.is_progress_bar_enabled()
    conversion_before = os.environ.get(NO_CONVERSION)
    others = [(one, one.level) for one in map(logging.getLogger, OTHERS)]
    for logger, _ in others:
        logger.setLevel(logging.CRITICAL)
    transformers_logging.set_verbosity(logging.CRITICAL)
    hub_logging.set_verbosity(logging.CRITICAL)
    if not bars:
        _set_bars(on=False)
    os.environ[NO_CONVERSION] = "1"
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in others:
            logger.setLevel(level)
        transformers_logging.set_verbosity(verbosity[0])
        hub_logging.set_verbosity(verbosity[1])
        if bars_before and not bars:
            _set_bars(on=True)
        if conversion_before is None:
            del os.environ[NO_CONVERSION]
        else:
            os.environ[NO_CONVERSION] = conversion_before


def _set_bars(*, on: bool) -> None:
    library: Any = transformers_logging  # its two switches carry no types
    if on:
        library.enable_progress_bar()
    else:
        library.disable_progress_bar()
