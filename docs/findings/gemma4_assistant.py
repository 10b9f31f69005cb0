from transformers import AutoConfig, AutoModelForCausalLM

own = {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
sizes = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "head_dim": 16}
small = {**sizes, "global_head_dim": 16, "num_key_value_heads": 2, "vocab_size": 97}


def build(kind, shared):
    text = {**small, "num_hidden_layers": 4, "num_kv_shared_layers": shared}
    text |= {"layer_types": ["sliding_attention", "full_attention"] * 2}
    text |= {} if "unified" in kind else own
    try:
        config = AutoConfig.for_model(kind, text_config=text, backbone_hidden_size=64)
        AutoModelForCausalLM.from_config(config)
    except Exception as error:
        return f"fails: {str(error).splitlines()[-1].strip()}"
    return "built"


for kind in ("gemma4_assistant", "gemma4_unified_assistant"):
    for shared in (2, 4):
        print(f"{kind}, {shared} of 4 layers shared:", build(kind, shared))
