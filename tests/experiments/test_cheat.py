"""The future in view, and gone."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from attnscope.experiments.cheat import given_tokens, stored_moves, written
from attnscope.experiments.exchange import masked_as
from attnscope.experiments.generation import namer
from attnscope.experiments.subject import Cost, Subject
from attnscope.masks import everything
from tests.tiny import tiny

IDS = list(range(5, 15))


def subject_of(name: str) -> Subject:
    return Subject(tiny(name), range(5, 97), Cost(lambda forwards: None))


def loss(logits: torch.Tensor, token: int) -> float:
    return float(cross_entropy(logits.double()[None], torch.tensor([token])))


@pytest.mark.parametrize("name", ["llama", "bloom", "gemma2"])
def test_three_ways_to_expect_a_token(name: str) -> None:
    subject = subject_of(name)
    labels = tuple(map(str, IDS))
    answers = given_tokens(subject, IDS, 7, labels, namer(None))
    assert [one.position for one in answers] == [7, 8, 9]
    whole = torch.tensor([IDS])
    masked = subject.run("plain", whole, whole[:, :0])
    with masked_as(subject, everything(), 10):
        cheating = subject.run("plain", whole, whole[:, :0])
    for one in answers:
        before = whole[:, : one.position]
        with masked_as(subject, everything(), one.position):
            alone = subject.run("plain", before, before[:, :0])[-1]
        token = IDS[one.position]
        assert one.masked_loss == pytest.approx(loss(masked[one.position - 1], token))
        assert one.cheating_loss == pytest.approx(loss(cheating[one.position - 1], token))
        assert one.alone_loss == pytest.approx(loss(alone, token))
        assert one.alone.token == int(alone.argmax())


def test_what_is_written_with_and_without_masks() -> None:
    subject = subject_of("llama")
    ids, texts = list(IDS), {}
    for masked in (True, False):
        texts[masked] = written(subject, ids, 6, masked=masked)
    expected = list(ids)
    with torch.no_grad():
        for _ in range(6):
            expected.append(int(subject.model(torch.tensor([expected])).logits[0, -1].argmax()))
    assert texts[True] == expected[10:]
    assert texts[False] != texts[True]


@pytest.mark.parametrize("name", ["llama", "mixtral", "falcon"])
def test_only_a_mask_makes_a_cache_possible(name: str) -> None:
    subject = subject_of(name)
    changed, stored = stored_moves(subject, IDS, masked=True)
    config = subject.model.config
    kv_heads = getattr(config, "num_key_value_heads", 1) if name != "falcon" else 1
    assert stored == 2 * config.num_hidden_layers * kv_heads * 10 * 16
    assert changed == 0
    changed, _ = stored_moves(subject, IDS, masked=False)
    assert changed == stored - stored // config.num_hidden_layers  # all but the first layer's
