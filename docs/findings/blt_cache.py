import torch
from transformers import BltConfig, BltForCausalLM

torch.manual_seed(0)
torch.set_grad_enabled(False)
size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
parts = {f"{name}_config": {**size, "intermediate_size": 64} for name in ("patcher", "encoder")}
parts["global_config"] = {**size, "hidden_size": 64, "intermediate_size": 64}
parts["decoder_config"] = {**size, "hidden_size_global": 64, "intermediate_size": 64}
config = BltConfig(encoder_hash_byte_group_vocab=64, **parts)
model = BltForCausalLM(config).eval()
for parameter in model.parameters():
    parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
ids = torch.randint(5, 250, (1, 12))
for call in (lambda: model(ids), lambda: model.generate(ids, max_new_tokens=3)):
    try:
        print("passes:", type(call()).__name__)
    except AttributeError as error:
        print("fails:", error)
config.num_hidden_layers = 1  # as transformers' own test does
plain = model(ids, use_cache=False).logits
out = model(ids[:, :11], use_cache=True)
step = model(ids[:, 11:], past_key_values=out.past_key_values, use_cache=True)
print("drift:", f"{(step.logits[:, -1] - plain[:, -1]).abs().max().item():.2g}")
print("control, the prefill:", f"{(out.logits - plain[:, :11]).abs().max().item():.2g}")
