import torch
from transformers import Llama4ForCausalLM, Llama4TextConfig

torch.set_grad_enabled(False)
sizes = {"hidden_size": 64, "intermediate_size": 128, "intermediate_size_mlp": 128, "head_dim": 16}
more = {
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 2,
    "vocab_size": 97,
}


def drift(tuning):
    torch.manual_seed(0)
    config = Llama4TextConfig(
        **sizes, **more, num_hidden_layers=2, no_rope_layers=[1, 0], attention_chunk_size=64,
        floor_scale=4, attn_temperature_tuning=tuning
    )  # fmt: skip
    model = Llama4ForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    one, two = torch.randint(5, 90, (1, 6)), torch.randint(5, 90, (1, 12))
    places = torch.cat([torch.arange(6), torch.arange(12)])[None]
    packed = model(torch.cat([one, two], 1), position_ids=places, use_cache=False).logits[:, 6:]
    return (packed - model(two, use_cache=False).logits).abs().max().item()


print("drift:", f"{drift(True):.2g}")
print("control, attn_temperature_tuning=False:", f"{drift(False):.2g}")
