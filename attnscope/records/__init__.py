"""The frozen records that flow from capture through measure to render.

Axis names are the same everywhere: `layer batch head kv_head query key d d_v vocab`.
Tensors are detached. `query` and `key` count positions of the same sequence; when there are more
keys than queries (a cache), the last query is aligned with the last key.
"""

from attnscope.records.calls import AttentionCall, ModelInfo, Offered, ScoreMod, Tokens, Unseen
from attnscope.records.comparison import Comparison, Guess, HeadComparison, Leak, LossComparison
from attnscope.records.generation import (
    CacheState,
    Candidate,
    Cheat,
    Generation,
    GivenToken,
    NewRow,
    NewWeights,
    Step,
    StepCost,
)
from attnscope.records.heads import Heads
from attnscope.records.masks import BroadcastStep, MaskDiff, MaskTables
from attnscope.records.results import (
    CELL_BLOCKED,
    CELL_FUTURE_BLOCKED,
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    DIFF_BOTH,
    DIFF_FIRST,
    DIFF_NEITHER,
    DIFF_SECOND,
    HandTrace,
    HeadFocus,
    HeadVectors,
    HeadView,
    MaskMap,
    Proof,
    Role,
    Trace,
)

__all__ = [
    "CELL_BLOCKED",
    "CELL_FUTURE_BLOCKED",
    "CELL_FUTURE_SEEN",
    "CELL_SEEN",
    "DIFF_BOTH",
    "DIFF_FIRST",
    "DIFF_NEITHER",
    "DIFF_SECOND",
    "AttentionCall",
    "BroadcastStep",
    "CacheState",
    "Candidate",
    "Cheat",
    "Comparison",
    "Generation",
    "GivenToken",
    "Guess",
    "HandTrace",
    "HeadComparison",
    "HeadFocus",
    "HeadVectors",
    "HeadView",
    "Heads",
    "Leak",
    "LossComparison",
    "MaskDiff",
    "MaskMap",
    "MaskTables",
    "ModelInfo",
    "NewRow",
    "NewWeights",
    "Offered",
    "Proof",
    "Role",
    "ScoreMod",
    "Step",
    "StepCost",
    "Tokens",
    "Trace",
    "Unseen",
]
