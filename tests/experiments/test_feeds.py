"""Models that are fed otherwise than by one row of ids."""

from __future__ import annotations

import torch

from attnscope.experiments.feeds import FEEDS
from attnscope.verification import VerifyOptions, verify_model
from tests.census.registered import loaded, subject

TOKENS = 9


def test_each_codebook_reads_the_token_and_gives_logits_for_it() -> None:
    one = subject("musicgen")
    ids = torch.cat([one.draw(TOKENS, 0), one.draw(TOKENS, 1)])
    with torch.no_grad():
        logits = one(ids, use_cache=False).logits
        rows = one.model(ids.repeat_interleave(4, 0), use_cache=False).logits
    assert logits.shape == (2, TOKENS, 4 * rows.shape[-1])
    first_token_of_second_row = rows[4:, 0].flatten()
    assert torch.equal(logits[1, 0], first_token_of_second_row)


def test_musicgen_is_judged_batches_and_caches_included() -> None:
    report = verify_model(
        loaded("musicgen_melody"), VerifyOptions(select=("ATN301", "ATN305", "ATN401"))
    )
    assert report.outcome == "pass"
    asked = {one.code for one in report.results if one.outcome == "pass"}
    assert {"ATN301", "ATN305", "ATN401"} <= asked


def test_feeds_are_for_registered_types_or_their_parts() -> None:
    assert set(FEEDS) == {
        "musicgen", "musicgen_decoder", "musicgen_melody", "musicgen_melody_decoder",
    }  # fmt: skip
