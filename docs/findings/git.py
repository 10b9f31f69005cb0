import torch
from transformers import GitConfig, GitForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = GitConfig(
    vocab_size=97, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=4, max_position_embeddings=64,
    pad_token_id=0, bos_token_id=1, eos_token_id=2,
    vision_config={
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 16,
    },
)  # fmt: skip
model = GitForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
mask = torch.tensor([[0] * 3 + [1] * 9])
places = (mask.cumsum(1) - 1).clamp(min=0)
tokens, image = torch.randint(5, 90, (1, 9)), torch.randn(1, 3, 32, 32)


def last(pads, **image):
    """Pads and eight tokens at once, then one token from the cache."""
    ids = torch.cat([torch.tensor([pads]), tokens], 1)
    given = {"attention_mask": mask[:, :11], "position_ids": places[:, :11], **image}
    store = model(ids[:, :11], use_cache=True, **given).past_key_values
    given = {"attention_mask": mask, "position_ids": places[:, 11:]}
    return model(ids[:, 11:], past_key_values=store, **given).logits[0, -1]


def leak(**image):
    return (last([1, 2, 3], **image) - last([4, 5, 6], **image)).abs().max().item()


print(f"leak: {leak():.2g}")
print(f"control, with an image: {leak(pixel_values=image):.2g}")
