"""Every causal language model that transformers registers, made small, built and judged."""
