import torch
from transformers import BigBirdConfig, BigBirdForCausalLM

torch.set_grad_enabled(False)


def leak(length, attention_type):
    torch.manual_seed(0)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 97}
    config = BigBirdConfig(
        is_decoder=True, block_size=4, num_random_blocks=1, attention_type=attention_type, **size
    )
    model = BigBirdForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    ids = torch.randint(5, 90, (1, length))
    at = length - 9
    other = ids.clone()
    other[0, at] = (ids[0, at] + 7) % 90
    return (model(ids).logits - model(other).logits)[0, :at].abs().max().item()


print("leak:", f"{leak(80, 'block_sparse'):.2g}")
print("short:", f"{leak(20, 'block_sparse'):.2g}")
print("original_full:", f"{leak(80, 'original_full'):.2g}")
