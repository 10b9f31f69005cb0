"""Pure tensor mathematics over records: no model, no I/O."""
