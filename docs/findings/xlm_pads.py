import torch
from transformers import XLMConfig, XLMWithLMHeadModel
from transformers.models.xlm import modeling_xlm as module

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = XLMConfig(vocab_size=97, emb_dim=64, n_heads=4, n_layers=2, causal=True)
model = XLMWithLMHeadModel(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
ids = torch.randint(10, 90, (1, 9))
padded = torch.cat([torch.full((1, 3), config.pad_token_id), ids], dim=1)
mask = (torch.arange(12) >= 3).long()[None]
positions = (torch.arange(12) - 3).clamp(min=0)[None]
get_masks = module.get_masks


def moved():
    alone = model(ids).logits
    return (model(padded, attention_mask=mask, position_ids=positions).logits[:, 3:] - alone).abs()


def both(slen, lengths, causal, padding_mask=None):
    mask, attention = get_masks(slen, lengths, causal, padding_mask)
    return mask, attention & mask.bool()[:, None]


print("moved by left pads:", f"{moved().max().item():.2g}")
module.get_masks = both
print("with the padding in the mask:", f"{moved().max().item():.2g}")
