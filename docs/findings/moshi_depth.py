import torch
from transformers import MoshiDepthConfig
from transformers.models.moshi.modeling_moshi import MoshiDepthDecoder

torch.set_grad_enabled(False)


def leak(backend):
    """Changing codebook 4 of six moves codebooks 0 to 3."""
    torch.manual_seed(0)
    config = MoshiDepthConfig(
        vocab_size=97, hidden_size=32, input_size=32, num_hidden_layers=2, num_attention_heads=4,
        audio_vocab_size=50, ffn_dim=64, num_codebooks=6,
    )  # fmt: skip
    model = MoshiDepthDecoder._from_config(config, attn_implementation=backend).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2) if parameter.dim() > 1 else None
    ids, states = torch.randint(1, 40, (1, 6)), torch.randn(1, 1, 32)
    other = ids.clone()
    other[0, 4] = 45
    one, two = (
        model(each, last_hidden_state=states, use_cache=False).logits for each in (ids, other)
    )
    return (one - two)[0, :4].abs().max().item()


print(f"leak: {leak('eager'):.2g}")
print(f"control, sdpa: {leak('sdpa'):.2g}")
