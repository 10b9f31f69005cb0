"""ATN5xx: do the attention implementations agree?"""

from __future__ import annotations

from attnscope.checks.serving import _Agreement


class BackendsDisagree(_Agreement):
    """Two attention implementations give different logits.

    What it finds: a mask, window, softcap or sink that one backend applies and another drops.

    Why it matters: eager is what tests run and sdpa is what users run. A released transformers let
    Doge see the future on sdpa only (issue 48748).

    How it is measured: the plain run on each backend against the first one, within what rounding
    explains (see ATN401), on the first backend or the other, whichever is more.

    When it is wrong: kernels that compute in lower precision than their inputs.

    How to fix: compare the masks of the two backends (`attnscope trace --backend …`).
    """

    code, name, family = "ATN501", "backends-disagree", "backends"
    evidence = "backends"
    quick = ("plain",)
