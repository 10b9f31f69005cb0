import torch
from transformers import FalconConfig, FalconForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = FalconConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=97)
model = FalconForCausalLM._from_config(config, attn_implementation="sdpa").eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
ids = torch.randint(5, 90, (1, 12))
other = ids.clone()
other[0, 9] = (ids[0, 9] + 7) % 90
one, two = (model(each, output_attentions=True).logits for each in (ids, other))
print("leak:", f"{(one - two)[0, :9].abs().max().item():.2g}")
torch.manual_seed(0)
model = FalconForCausalLM._from_config(config, attn_implementation="eager").eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
one, two = (model(each, output_attentions=True).logits for each in (ids, other))
print("control, eager:", f"{(one - two)[0, :9].abs().max().item():.2g}")
