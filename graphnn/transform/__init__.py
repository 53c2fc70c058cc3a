"""Graph in, graph out: one pass a file, named after what it does."""
