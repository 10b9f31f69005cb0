"""The experiments of `verify-mask`: everything that runs the model to gather evidence."""
