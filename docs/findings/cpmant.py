import torch
from transformers import CpmAntConfig, CpmAntForCausalLM, CpmAntModel

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = CpmAntConfig(
    hidden_size=64, num_attention_heads=4, dim_head=16, dim_ff=128, num_hidden_layers=2,
    vocab_size=97, prompt_length=4, prompt_types=4, segment_types=4,
)  # fmt: skip
model = CpmAntForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
ids = torch.randint(5, 90, (1, 12))
other = ids.clone()
other[0, 9] = (ids[0, 9] + 7) % 90
prepare = CpmAntModel._prepare_attention_mask


def leak():
    return (model(ids).logits - model(other).logits)[0, :9].abs().max().item()


def no_context(self, ids, span, context, length):
    return prepare(self, ids, span, 0 * context, length)


print("leak:", f"{leak():.2g}")
CpmAntModel._prepare_attention_mask = no_context
print("with no position marked as context:", f"{leak():.2g}")
