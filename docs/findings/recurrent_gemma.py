import torch
from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = RecurrentGemmaConfig(
    vocab_size=97, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
    num_attention_heads=4, attention_window_size=16,
)  # fmt: skip
model = RecurrentGemmaForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
mask = torch.tensor([[0] * 3 + [1] * 9])
places = (mask.cumsum(1) - 1).clamp(min=0)  # the first real token is at 0 and resets the RG-LRU
tokens = torch.randint(5, 90, (1, 9))


def leak():
    """Pads 1, 2, 3 or 4, 5, 6 before the same nine tokens."""
    both = [torch.cat([torch.tensor([pads]), tokens], 1) for pads in ([1, 2, 3], [4, 5, 6])]
    given = {"attention_mask": mask, "position_ids": places, "use_cache": False}
    one, two = (model(ids, **given).logits for ids in both)
    return (one - two)[0, 3:].abs().max().item()


print(f"leak: {leak():.2g}")
for layer in model.model.layers[:2]:  # pads closed at the input of the convolution alone
    layer.temporal_block.conv_1d.register_forward_pre_hook(lambda _, args: (args[0] * mask,))
print(f"control, pads zeroed before conv_1d: {leak():.2g}")
