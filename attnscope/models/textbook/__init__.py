"""The bundled model `textbook`: one layer, one head, numbers small enough to check by hand."""
