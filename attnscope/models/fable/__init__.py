"""The bundled language model `fable`, and the recipe that made it."""
