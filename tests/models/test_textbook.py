"""The bundled textbook model holds the worked example's numbers exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from attnscope.load import LoadedModel, LoadOptions, load, tokenize
from attnscope.models.textbook import recipe

STORED = Path(recipe.__file__).parent / "weights"
WEIGHTS = np.array(
    [
        [1, 0, 0, 0, 0],
        [0.8176, 0.1824, 0, 0, 0],
        [0.2327, 0.3837, 0.3837, 0, 0],
        [0.2350, 0.2350, 0.1425, 0.3875, 0],
        [0.1892, 0.1892, 0.1892, 0.1892, 0.2430],
    ]
)
OUTPUTS = np.array(
    [
        [1, 0, 0, 0],
        [0.8176, 0.1824, 0, 0],
        [0.2327, 0.3837, 0.3837, 0],
        [0.2350, 0.2350, 0.1425, 0.3875],
        [0.3108, 0.3108, 0.3108, 0.3108],
    ]
)


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def textbook(request: pytest.FixtureRequest) -> LoadedModel:
    return load(LoadOptions(model="textbook", backend=request.param, device="cpu"))


def by_hand() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    query, key, value = (np.array(rows, float) for rows in rows_of_the_book())
    scores = query @ key.T / 2
    scores[np.triu_indices(5, 1)] = -np.inf
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = powers / powers.sum(axis=1, keepdims=True)
    return weights, weights @ value


def rows_of_the_book() -> tuple[object, object, object]:
    return recipe.QUERIES, recipe.KEYS, recipe.VALUES


def run(textbook: LoadedModel) -> dict[str, torch.Tensor]:
    """One pass over the sentence: what the projections and the attention give, and the logits."""
    seen: dict[str, torch.Tensor] = {}
    attention = textbook.model.get_submodule("model.layers.0.self_attn")
    hooks = [
        attention.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: seen.update(
                {name: output, f"{name} in": inputs[0]}
            )
        )
        for name in ("q_proj", "k_proj", "v_proj", "o_proj")
    ]
    tokens = tokenize(textbook, textbook.default_prompt)
    with torch.no_grad():
        answer = textbook.model(torch.tensor([tokens.ids]), output_attentions=True)
    for hook in hooks:
        hook.remove()
    if textbook.info.backend == "eager":
        seen["weights"] = answer.attentions[0][0, 0]
    return seen | {"logits": answer.logits[0]}


def test_the_kernel_receives_the_rows_of_the_book_exactly(textbook: LoadedModel) -> None:
    seen = run(textbook)
    for name, rows in zip(("q_proj", "k_proj", "v_proj"), rows_of_the_book(), strict=True):
        assert torch.equal(seen[name][0], torch.tensor(rows, dtype=torch.float32))


def test_numbers_of_the_book_are_what_numpy_computes() -> None:
    weights, outputs = by_hand()
    assert np.abs(weights - WEIGHTS).max() < 5.1e-5
    assert np.abs(outputs - OUTPUTS).max() < 5.1e-5


def test_model_gives_the_weights_and_outputs_of_the_book(textbook: LoadedModel) -> None:
    seen = run(textbook)
    weights, outputs = by_hand()
    assert np.abs(seen["o_proj in"][0].numpy() - outputs).max() < 1e-6
    if "weights" in seen:
        given = seen["weights"].numpy()
        assert np.abs(given - weights).max() < 1e-6
        assert (given[np.triu_indices(5, 1)] == 0).all()


def test_next_word_of_the_sentence_is_the_likeliest(textbook: LoadedModel) -> None:
    likely = run(textbook)["logits"].softmax(-1)
    assert likely.argmax(-1).tolist() == [1, 2, 3, 4, 0]
    assert likely.max(-1).values.min() > 0.8


def test_logits_depend_on_attention(textbook: LoadedModel) -> None:
    with torch.no_grad():
        first = textbook.model(torch.tensor([[0, 2, 3]])).logits[0, -1]
        second = textbook.model(torch.tensor([[1, 2, 3]])).logits[0, -1]
    assert (first - second).abs().max() > 0.01


def test_description(textbook: LoadedModel) -> None:
    info = textbook.info
    assert (info.layers, info.heads, info.kv_heads, info.dtype) == (1, 1, 1, "float32")
    assert info.architecture == "SmolLM3ForCausalLM"


def test_recipe_rebuilds_the_stored_files(tmp_path: Path) -> None:
    recipe.build(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in STORED.iterdir()}
    rebuilt, stored = (load_file(place / "model.safetensors") for place in (tmp_path, STORED))
    assert rebuilt.keys() == stored.keys()
    assert all(torch.equal(rebuilt[name], stored[name]) for name in stored)
    assert recipe.build_tokenizer().get_vocab() == {word: i for i, word in enumerate(recipe.WORDS)}
