"""The training loop: settings, batches, dropout and learning rates."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from attnscope.models.fable.corpus import LONGEST_INPUT, encode
from attnscope.models.fable.synthetic import NO_SOURCE, draw_pattern, repeated_tokens

REPORT_EVERY = 100
PREVIOUS_TOKEN_HEAD = (0, 1)
INDUCTION_HEAD = (2, 3)
"""Layer and index of the two heads that are given a hint."""

Progress = Callable[[int, float], None]
"""Called with the number of steps done and the mean loss since the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of training in which every batch is drawn alike."""

    share: float
    """Fraction of all steps."""
    length: int
    """Tokens per row."""
    repeats: float
    """Probability that a row is repeated random tokens and not text."""
    dropout: float
    """Probability that a residual feature is dropped."""
    hint: float = 0.0
    """Weight at the start of the phase, falling to 0 at its end, of the hint to two heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the stored weights were trained with."""

    steps: int = 2500
    batch_tokens: int = 4096
    seed: int = 0
    phases: tuple[Phase, ...] = (
        Phase(share=0.12, length=128, repeats=0.5, dropout=0.0, hint=1.0),
        Phase(share=0.68, length=256, repeats=0.125, dropout=0.1),
        Phase(share=0.20, length=LONGEST_INPUT, repeats=0.0625, dropout=0.1),
    )
    matrix_rate: float = 0.02
    """Peak learning rate of the weight matrices, under Muon."""
    table_rate: float = 0.004
    """Peak learning rate of the embeddings and the norms, under AdamW."""
    weight_decay: float = 0.05
    warmup: float = 0.02
    """Fraction of all steps in which the learning rate rises."""
    final_rate: float = 0.02
    """Where the cosine ends, as a fraction of the peak."""

    def phase(self, progress: float) -> tuple[Phase, float]:
        """Return the phase at `progress`, and how much of it is left, both from 0 to 1."""
        for phase in self.phases:
            if progress < phase.share:
                return phase, 1 - progress / phase.share
            progress -= phase.share
        return self.phases[-1], 0.0

    def rate(self, progress: float) -> float:
        """Return the learning rate at `progress` as a fraction of its peak."""
        if progress < self.warmup:
            return progress / self.warmup
        cosine = math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup))
        return self.final_rate + (1 - self.final_rate) * (1 + cosine) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of tokens."""

    inputs: Int[Tensor, "row token"]
    labels: Int[Tensor, "row token"]
    """The next token, or `NO_SOURCE` where a row of random tokens cannot know it."""
    sources: Int[Tensor, "row token"]
    """Where the label stands already, for rows of repeats; elsewhere `NO_SOURCE`."""


Row = tuple[Int[Tensor, " token"], Int[Tensor, " token"], Int[Tensor, " token"]]
"""Inputs, labels and sources of one row."""


class Batches:
    """Draws rows of text and rows of repeated random tokens."""

    def __init__(
        self, documents: Sequence[str], tokenizer: PreTrainedTokenizerFast, settings: Settings
    ) -> None:
        """Encode `documents`, from which windows will be drawn at random."""
        stream = np.concatenate([encode(tokenizer, document) for document in documents])
        self._stream = torch.from_numpy(stream)
        self._vocabulary = range(1, len(tokenizer))
        self._batch_tokens = settings.batch_tokens
        self._generator = torch.Generator().manual_seed(settings.seed)

    def draw(self, phase: Phase) -> Batch:
        """Return one batch."""
        rows = [self._row(phase) for _ in range(self._batch_tokens // phase.length)]
        inputs, labels, sources = (torch.stack(parts) for parts in zip(*rows, strict=True))
        return Batch(inputs=inputs, labels=labels, sources=sources)

    def _row(self, phase: Phase) -> Row:
        if torch.rand((), generator=self._generator) < phase.repeats:
            return self._repeats(phase.length)
        return self._text(phase.length)

    def _repeats(self, length: int) -> Row:
        pattern = draw_pattern(length, self._generator)
        tokens, sources = repeated_tokens(pattern, length, self._vocabulary, self._generator)
        labels = torch.where(sources == NO_SOURCE, NO_SOURCE, tokens[sources.clamp(min=0)])
        return tokens, labels, sources

    def _text(self, length: int) -> Row:
        start = int(torch.randint(len(self._stream) - length, (), generator=self._generator))
        window = self._stream[start : start + length + 1]
        return window[:-1], window[1:], torch.full((length,), NO_SOURCE)


def train(
    model: LlamaForCausalLM, batches: Batches, settings: Settings, progress: Progress
) -> None:
    """Train `model` in place."""
    optimizers = _optimizers(model, settings)
    schedules = [
        LambdaLR(optimizer, lambda step: settings.rate(step / settings.steps))
        for optimizer in optimizers
    ]
    losses = []
    model.train()
    for step in range(settings.steps):
        phase, left = settings.phase(step / settings.steps)
        with residual_dropout(model, phase.dropout):
            loss = batch_loss(model, batches.draw(phase), hint=phase.hint * left)
            loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        model.zero_grad()
        losses.append(loss.item())
        if len(losses) == REPORT_EVERY:
            progress(step + 1, sum(losses) / len(losses))
            losses.clear()
    model.train(False)


def batch_loss(model: LlamaForCausalLM, batch: Batch, hint: float) -> Float[Tensor, ""]:
    """Return the mean over rows of each row's mean loss, in nats per labelled token.

    Rows of repeats have few labels; averaged over tokens they would be drowned by the text.
    Computed in bfloat16, which halves the time. With `hint` above 0 that much of `hint_loss` is
    added.
    """
    model.set_attn_implementation("eager" if hint else "sdpa")
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch.inputs, use_cache=False, output_attentions=hint > 0)
    losses = functional.cross_entropy(
        output.logits.float().transpose(1, 2),
        batch.labels,
        ignore_index=NO_SOURCE,
        reduction="none",
    )
    labelled = (batch.labels != NO_SOURCE).sum(dim=1).clamp(min=1)
    loss = (losses.sum(dim=1) / labelled).mean()
    return loss + hint * hint_loss(output.attentions, batch.sources) if hint else loss


def hint_loss(
    attentions: Sequence[Float[Tensor, "row head token token"]],
    sources: Int[Tensor, "row token"],
) -> Float[Tensor, ""]:
    """Return -ln of the weight that two heads give to where they should look, averaged, in nats.

    The one should look at the previous token, the other, in rows of repeats, at the token after
    the previous occurrence. `attentions` has one tensor per layer.
    """
    previous = _weights_of(attentions, PREVIOUS_TOKEN_HEAD).diagonal(offset=-1, dim1=1, dim2=2)
    rows, queries = torch.nonzero(sources != NO_SOURCE, as_tuple=True)
    induction = _weights_of(attentions, INDUCTION_HEAD)[rows, queries, sources[rows, queries]]
    return -(previous.clamp(min=1e-6).log().mean() + induction.clamp(min=1e-6).log().mean())


def _weights_of(
    attentions: Sequence[Float[Tensor, "row head token token"]], head: tuple[int, int]
) -> Float[Tensor, "row token token"]:
    layer, index = head
    return attentions[layer][:, index].float()


@contextmanager
def residual_dropout(model: LlamaForCausalLM, probability: float) -> Iterator[None]:
    """Drop features of all that is written to the residual stream; Llama has no dropout there."""

    def drop(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return functional.dropout(output, probability)

    writers = ("embed_tokens", "o_proj", "down_proj")
    modules = [module for name, module in model.named_modules() if name.endswith(writers)]
    handles = [module.register_forward_hook(drop) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _optimizers(model: LlamaForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    tables = list(model.get_input_embeddings().parameters())
    scales = [weight for weight in model.parameters() if weight.ndim == 1]
    matrices = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    muon = torch.optim.Muon(matrices, lr=settings.matrix_rate, weight_decay=settings.weight_decay)
    adam = torch.optim.AdamW(
        [
            {"params": tables, "weight_decay": settings.weight_decay / 4},
            {"params": scales, "weight_decay": 0.0},
        ],
        lr=settings.table_rate,
        betas=(0.9, 0.95),
    )
    return [muon, adam]


def build(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Return the untrained model: four layers of four heads, whose keys are shared by two."""
    torch.manual_seed(seed)
    end = tokenizer.eos_token_id
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LONGEST_INPUT,
        initializer_range=0.04,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        dtype="float32",
    )
    return LlamaForCausalLM(config)
