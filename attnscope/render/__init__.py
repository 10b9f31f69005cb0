"""Records -> Rich renderables, one widget a file. Nothing here prints."""
