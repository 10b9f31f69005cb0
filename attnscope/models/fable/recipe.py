"""How the bundled model was made.

The text is five books, in this order: Grimms' Fairy Tales, Andersen's Fairy Tales, Alice's
Adventures in Wonderland, Aesop's Fables and The Irish Fairy Book (1909). All are in the public
domain in the United States. The texts are Project Gutenberg's, with headers and licence taken off,
quotes made straight and the lines of a paragraph joined; a blank line ends a paragraph. They are no
part of this package: the recipe takes the path of one file that holds them.

    python -m attnscope.models.fable.recipe TEXT_FILE --output DIRECTORY

Needs torch 2.9 or later, for its Muon optimizer.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from attnscope.models.fable.corpus import read_split, train_tokenizer
from attnscope.models.fable.training import Batches, Settings, build, train


def make(text: Path, output: Path, settings: Settings) -> None:
    """Train tokenizer and model on the training part of `text` and store both in `output`."""
    split = read_split(text)
    tokenizer = train_tokenizer(split.training)
    model = build(tokenizer, settings.seed)
    began = time.monotonic()

    def progress(steps: int, loss: float) -> None:
        minutes = (time.monotonic() - began) / 60
        sys.stderr.write(f"{steps} steps, {minutes:.1f} minutes: loss {loss:.3f}\n")

    train(model, Batches(split.training, tokenizer, settings), settings, progress)
    store(model, tokenizer, output)


def store(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Write a model directory: weights in float16, to be computed in float32."""
    output.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(output)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(output)
    end = tokenizer.eos_token_id
    generation = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=end, eos_token_id=end, pad_token_id=end
    )
    generation.save_pretrained(output)
    # The output embedding is the input embedding: stored once.
    weights = {
        name: weight.to(torch.float16).contiguous()
        for name, weight in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    """Make the model."""
    defaults = Settings()
    parser = argparse.ArgumentParser(description="Make the bundled model.")
    parser.add_argument("text", type=Path, help="the five books in one text file")
    parser.add_argument("--output", type=Path, required=True, help="the model directory to write")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    arguments = parser.parse_args()
    settings = Settings(steps=arguments.steps, seed=arguments.seed)
    make(arguments.text, arguments.output, settings)


if __name__ == "__main__":
    main()
