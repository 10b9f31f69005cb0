"""The bundled models: what they are, and the recipes that made them."""
