import torch
from transformers import DynamicCache, MimiConfig, MoshiConfig, MoshiDepthConfig, MoshiForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
config = MoshiConfig(
    vocab_size=97, hidden_size=64, ffn_dim=128, num_hidden_layers=2, num_attention_heads=4,
    sliding_window=4, audio_encoder_config=MimiConfig(), depth_decoder_config=MoshiDepthConfig(),
)  # fmt: skip
model = MoshiForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
ids = torch.randint(5, 90, (1, 12))
full = model(ids, use_cache=False).logits[0, -1]


def step(store):
    model(ids[:, :11], past_key_values=store)
    return (model(ids[:, 11:], past_key_values=store).logits[0, -1] - full).abs().max().item()


print(f"drift: {step(DynamicCache(config=config)):.2g}")
print(f"control, a cache without the window: {step(DynamicCache()):.2g}")
