"""Every test runs offline, with shapes and types checked at each call of the package."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("ATTNSCOPE_TRACEBACK", None)

from jaxtyping import install_import_hook

install_import_hook("attnscope", "beartype.beartype")
