"""What becomes of a language model that is trained without its mask.

    python -m tests.benchmarks.trained_to_cheat [SEED]

Two copies of `fable` are trained on texts that fable itself wrote, one with its masks and one with
every mask taken away. Both are asked for texts that they were not trained on: with all of the
text there, as in training, and with only what comes before each token, as in writing.
"""

from __future__ import annotations

import copy
import sys
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from attnscope.experiments.exchange import masked_as
from attnscope.experiments.subject import Subject, subject_of
from attnscope.load import LoadedModel, LoadOptions, load
from attnscope.masks import Mask, causal, everything

TEXTS, HELD_OUT, TOKENS = 512, 16, 64
STEPS, BATCH, RATE = 300, 16, 1e-3
PROMPT, WRITTEN = 12, 20


def main() -> None:
    """Write the texts, train both copies, print one line for each; the seed may be given."""
    torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    torch.set_num_threads(1)
    loaded = load(LoadOptions(model="fable"))
    texts = write_texts(loaded.model)
    print(f"{STEPS} steps of {BATCH} texts of {TOKENS} tokens, AdamW, learning rate {RATE}")
    for name, mask in (("with its masks", causal()), ("without masks", everything())):
        report(name, loaded, mask, texts)


def write_texts(model: Any) -> Tensor:
    """Texts sampled from fable at temperature 1, each from one random token on."""
    starts = torch.randint(5, model.config.vocab_size, (TEXTS + HELD_OUT, 1))
    with torch.no_grad():
        return model.generate(
            starts,
            attention_mask=torch.ones_like(starts),
            do_sample=True,
            max_new_tokens=TOKENS - 1,
            min_new_tokens=TOKENS - 1,
            pad_token_id=0,
        )


def report(name: str, loaded: LoadedModel, mask: Mask, texts: Tensor) -> None:
    """Train a copy under a mask, and say what it is good for."""
    subject = subject_of(loaded)
    subject.model = copy.deepcopy(loaded.model)
    started = time.perf_counter()
    train(subject, mask, texts[:TEXTS])
    held_out = texts[TEXTS:]
    there, alone = loss(subject, mask, held_out), alone_loss(subject, mask, held_out)
    words: Any = loaded.tokenizer
    prompt = held_out[0, :PROMPT].tolist()
    text = words.decode(written(subject, mask, prompt))
    print(f"\n{name} ({time.perf_counter() - started:.0f} s)")
    print(f"  loss with the whole text there, as in training   {there:6.3f} nats a token")
    print(f"  loss with only what comes before, as in writing  {alone:6.3f}")
    print(f"  {words.decode(prompt)!r} goes on {text!r}")


def train(subject: Subject, mask: Mask, texts: Tensor) -> None:
    """Next-token training under a mask."""
    model = subject.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for _ in range(STEPS):
        batch = texts[torch.randint(len(texts), (BATCH,))]
        optimizer.zero_grad()
        with masked_as(subject, mask, TOKENS):
            error(model(batch, use_cache=False).logits, batch).backward()
        optimizer.step()
    model.eval()


def error(logits: Tensor, texts: Tensor) -> Tensor:
    """Mean cross-entropy of each next token."""
    return cross_entropy(logits[:, :-1].flatten(0, 1), texts[:, 1:].flatten())


def loss(subject: Subject, mask: Mask, texts: Tensor) -> float:
    """The mean loss with each whole text there."""
    with torch.no_grad(), masked_as(subject, mask, texts.shape[1]):
        return float(error(subject.model(texts, use_cache=False).logits, texts))


def alone_loss(subject: Subject, mask: Mask, texts: Tensor) -> float:
    """The mean loss of each token from what comes before it alone."""
    losses = []
    for end in range(1, texts.shape[1]):
        with torch.no_grad(), masked_as(subject, mask, end):
            logits = subject.model(texts[:, :end], use_cache=False).logits[:, -1]
        losses.append(cross_entropy(logits, texts[:, end]))
    return float(torch.stack(losses).mean())


def written(subject: Subject, mask: Mask, prompt: list[int]) -> list[int]:
    """The likeliest tokens one after the other."""
    text = list(prompt)
    for _ in range(WRITTEN):
        with torch.no_grad(), masked_as(subject, mask, len(text)):
            text.append(int(subject.model(torch.tensor([text])).logits[0, -1].argmax()))
    return text[len(prompt) :]


if __name__ == "__main__":
    main()
