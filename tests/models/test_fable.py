import os
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from attnscope.api import trace_tokens
from attnscope.load import LoadOptions, tokens_from_ids
from attnscope.load import load as load_model
from attnscope.models.fable.corpus import EXAMPLE, split_text
from attnscope.models.fable.evaluate import WEIGHTS, held_out_losses, load, sliding_losses
from attnscope.models.fable.head_scores import induction_scores, previous_token_scores
from attnscope.models.fable.kneser_ney import KneserNey, closed_form_discounts, fitted_model
from attnscope.models.fable.synthetic import NO_SOURCE, Pattern, repeated_tokens

PASSAGE = (
    "The miller had a daughter who could hear what the river said. Every evening she sat upon the "
    "old stone bridge, and the water told her of the towns it had passed and the ships it had "
    "carried. One night it said, 'Tomorrow the king's son will ride this way, and he will ask you "
    "for bread. Give him none, but give him your lantern.' The girl thought this very strange, but "
    "she did as she was told. The prince was angry at first; then the sun went down, and the wood "
    "was as black as a crow, and he was glad of the light."
)


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(WEIGHTS)


def test_attnscope_names_its_heads():
    """The product's own measure agrees with the scores from `output_attentions`."""
    generator = torch.Generator().manual_seed(0)
    block = torch.randperm(2000, generator=generator)[:50].tolist()
    loaded = load_model(LoadOptions(model="fable"))
    trace = trace_tokens(loaded, tokens_from_ids(loaded, block * 3))
    roles = {(head.layer, head.head): head for head in trace.focus}
    assert roles[0, 1].role == "previous-token"
    assert roles[0, 1].role_score > 0.95
    assert roles[2, 2].role == "induction"
    assert roles[2, 2].role_score > 0.7
    assert trace.view is not None
    assert (trace.view.layer, trace.view.head) in {(2, 2), (2, 3)}


class TestStoredModel:
    def test_fits_in_four_megabytes(self):
        size = sum(file.stat().st_size for file in WEIGHTS.iterdir())
        assert size <= 4_000_000

    def test_holds_a_complete_model_directory(self):
        assert {file.name for file in WEIGHTS.iterdir()} == {
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        }

    def test_is_stored_in_half_and_computed_in_single_precision(self):
        model = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype="auto")
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
        for weight in model.parameters():
            assert torch.equal(weight, weight.half().float())

    def test_is_a_llama_with_grouped_heads_and_tied_embeddings(self, model):
        assert type(model).__name__ == "LlamaForCausalLM"
        assert model.config.num_key_value_heads < model.config.num_attention_heads
        assert model.config.max_position_embeddings == 512
        assert model.lm_head.weight is model.model.embed_tokens.weight

    def test_predicts_its_own_kind_of_english(self, model, tokenizer):
        tokens = tokenizer(PASSAGE, return_tensors="np")["input_ids"][0]
        assert float(sliding_losses(model, tokens).mean()) < 4.5


class TestHeads:
    def test_one_looks_at_the_previous_token(self, model, tokenizer):
        tokens = tokenizer(PASSAGE, return_tensors="pt")["input_ids"][0]
        assert previous_token_scores(model, [tokens]).max() >= 0.8

    def test_one_looks_at_what_followed_the_previous_occurrence(self, model):
        assert induction_scores(model).max() >= 0.7


class TestTokenizer:
    def test_keeps_the_words_of_the_example_whole(self, tokenizer):
        ids = tokenizer(EXAMPLE)["input_ids"]
        assert [tokenizer.decode([token]) for token in ids] == [
            "The",
            " cat",
            " sat",
            " on",
            " the",
            " mat",
        ]

    @pytest.mark.parametrize("word", ["king", "little", "princess", "wood", "father", "beautiful"])
    def test_keeps_common_words_whole(self, tokenizer, word):
        assert len(tokenizer(f" {word}")["input_ids"]) == 1

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " two  spaces , and a space before the comma .",
            "tabs\tand\r\nnew lines\n\n\n",
            "\x00\x01\x1b[31m\x7f\x85",
            "naïve Øre 漢字 العربية हिन्दी",
            "🐈‍⬛ on a 🧘 mat \U0010ffff",
            "A\u030angstrom, not composed",
            "<|endoftext|>",
        ],
    )
    def test_gives_back_any_text(self, tokenizer, text):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text

    def test_knows_every_byte(self, tokenizer):
        assert None not in tokenizer.convert_tokens_to_ids(
            [piece for byte in range(256) for piece in tokenizer.tokenize(chr(byte))]
        )
        assert tokenizer.unk_token is None


class TestSplit:
    text = "\n\n".join(f"Paragraph {number}. " + "word " * 40 for number in range(800))

    def test_is_complete_and_disjoint(self):
        split = split_text(self.text)
        paragraphs = [
            paragraph
            for document in (*split.training, *split.held_out)
            for paragraph in document.split("\n\n")
        ]
        assert sorted(paragraphs) == sorted(self.text.split("\n\n"))

    def test_holds_out_a_twentieth(self):
        split = split_text(self.text)
        share = sum(map(len, split.held_out)) / len(self.text)
        assert share == pytest.approx(0.05, abs=0.01)


class TestSlidingLosses:
    @pytest.mark.parametrize("length", [2, 400, 513, 514, 1200])
    def test_scores_every_token_once(self, model, length):
        document = np.arange(length) % 2000 + 1
        assert len(sliding_losses(model, document)) == length - 1

    def test_agrees_with_one_window_where_that_suffices(self, model):
        document = np.arange(300) % 2000 + 1
        tokens = torch.from_numpy(document)[None]
        with torch.inference_mode():
            expected = model(tokens, labels=tokens).loss
        assert sliding_losses(model, document).mean() == pytest.approx(float(expected), rel=1e-5)


class TestRepeatedTokens:
    def test_sources_follow_the_previous_occurrence(self):
        pattern = Pattern(prefix=3, period=5, gap=2)
        tokens, sources = repeated_tokens(
            pattern, 24, range(1, 2048), torch.Generator().manual_seed(0)
        )
        queries = [10, 11, 12, 13, 17, 18, 19, 20]
        assert torch.nonzero(sources != NO_SOURCE).flatten().tolist() == queries
        for query in queries:
            assert sources[query] == query - 6
            assert tokens[sources[query]] == tokens[query + 1]


class TestKneserNey:
    """The tiny text a b a b a c is worked by hand; a, b, c, d are tokens 0, 1, 2, 3."""

    tiny = (np.array([0, 1, 0, 1, 0, 2]),)

    def bigrams(self):
        model = KneserNey(self.tiny, vocabulary=4, order=2)
        model.discounts = [np.array([0, 0.5, 0.8, 1.1]), np.array([0, 0.6, 1.2, 1.5])]
        return model

    def test_tiny_example(self):
        # Bigrams: ab 2, ba 2, ac 1. Each of a, b, c follows one distinct word, so the unigrams
        # are (1 - 0.5) / 3 + (0.5 * 3 / 3) / 4 for a, b, c and 0.125 for d.
        unigrams = [0.5 / 3 + 0.125, 0.5 / 3 + 0.125, 0.5 / 3 + 0.125, 0.125]
        # After a: c(ab) = 2, c(ac) = 1, total 3, so (0.6 * 1 + 1.2 * 1) / 3 = 0.6 is passed on.
        expected = [
            0.6 * unigrams[0],
            (2 - 1.2) / 3 + 0.6 * unigrams[1],
            (1 - 0.6) / 3 + 0.6 * unigrams[2],
            0.6 * unigrams[3],
        ]
        np.testing.assert_allclose(self.bigrams().probabilities([0]), expected)

    def test_unseen_context_passes_to_the_next_order(self):
        model = self.bigrams()
        np.testing.assert_allclose(model.probabilities([3]), model.probabilities([]))

    def test_lower_orders_count_distinct_words_before(self):
        # b comes twice but only after a; c comes once, after a: the same unigram probability.
        probabilities = self.bigrams().probabilities([])
        assert probabilities[1] == pytest.approx(probabilities[2])

    def test_losses_are_those_of_the_probabilities(self):
        model = KneserNey(self.tiny, vocabulary=4, order=3)
        document = np.array([0, 1, 0, 2, 3])
        expected = [
            -np.log(model.probabilities(document[:end])[document[end]]) for end in range(1, 5)
        ]
        np.testing.assert_allclose(model.losses(document), expected)

    @pytest.mark.parametrize("order", [1, 2, 3, 4])
    def test_probabilities_sum_to_one(self, order):
        random = np.random.default_rng(0)
        documents = [random.zipf(1.5, 3000) % 50 for _ in range(2)]
        model = fitted_model(documents, vocabulary=50, order=order)
        for _ in range(50):
            seen = documents[0][(start := random.integers(2900)) : start + 3]
            for context in (seen, random.integers(0, 50, 3), []):
                assert model.probabilities(context).sum() == pytest.approx(1)
                assert model.probabilities(context).min() > 0

    def test_closed_form_discounts(self):
        # n1 = 4, n2 = 2, n3 = 1, n4 = 1: Y = 4 / 8; D1 = 1 - 2Y 2/4, D2 = 2 - 3Y 1/2, D3 = 3 - 4Y.
        counts = np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])
        np.testing.assert_allclose(closed_form_discounts(counts), [0, 0.5, 1.25, 1])

    def test_fitting_lowers_the_loss(self):
        random = np.random.default_rng(1)
        training, development = (random.zipf(1.3, 2000) % 40 for _ in range(2))
        model = KneserNey([training], vocabulary=40)
        before = model.losses(development).mean()
        model.fit_discounts([development])
        assert model.losses(development).mean() < before


@pytest.mark.slow
@pytest.mark.skipif("ATTNSCOPE_CORPUS" not in os.environ, reason="ATTNSCOPE_CORPUS is not set")
def test_held_out_loss_is_below_the_baseline(model):
    losses = held_out_losses(model, WEIGHTS, Path(os.environ["ATTNSCOPE_CORPUS"]))
    assert len(losses.model) == len(losses.baseline)
    assert losses.model.mean() < losses.baseline.mean()
