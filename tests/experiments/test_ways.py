"""Every way to run a clean model gives the same logits, but the one that promises nothing."""

from __future__ import annotations

import ast
import inspect

import pytest
import torch
from transformers import PreTrainedModel

from attnscope.errors import CaptureError
from attnscope.experiments import ways
from attnscope.experiments.subject import Cost, Subject
from tests.tiny import tiny

TOKENS = 21


@pytest.fixture(scope="module")
def llama() -> Subject:
    model: PreTrainedModel = tiny("llama")
    return Subject(model, range(90), Cost(lambda forwards: None))


@pytest.mark.parametrize("key", ways.WAYS)
def test_every_way_agrees_with_plain_on_a_clean_model(llama: Subject, key: str) -> None:
    ids = llama.draw(TOKENS, 0)
    plain = llama.run("plain", ids, ids[:, :0])
    if key == "offloaded_cache" and not torch.cuda.is_available():
        with pytest.raises(CaptureError):
            llama.run(key, ids, ids[:, :0])
        return
    logits = llama.run(key, ids, llama.aside(key, TOKENS, 1))
    assert logits.shape == plain.shape == (TOKENS, 97)
    gap = float((logits - plain).abs().max())
    assert gap > 1e-2 if key == "packed_cached" else gap < 1e-4


@pytest.mark.parametrize("key", ["one_token", "several_tokens", "chunked_prefill", "static_cache"])
@pytest.mark.parametrize("tokens", [7, 8, 9, 10])
def test_steps_cover_every_length(llama: Subject, key: str, tokens: int) -> None:
    ids = llama.draw(tokens, 0)
    gap = llama.run(key, ids, ids[:, :0]) - llama.run("plain", ids, ids[:, :0])
    assert float(gap.abs().max()) < 1e-4


def test_ways_use_torch_and_transformers_alone() -> None:
    """A reproducer is made from their source."""
    tree = ast.parse(inspect.getsource(ways))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert modules <= {"__future__", "collections.abc", "typing", "torch", "transformers"}
    assert names == {"torch"}
    for way in ways.WAYS.values():
        loaded = {node.id for node in ast.walk(ast.parse(inspect.getsource(way)))
                  if isinstance(node, ast.Name)}  # fmt: skip
        assert not loaded & {"WAYS", "ASIDE", "Mapping", "Callable"}
