"""Use it: optimisers, models, the trainer, data, and files of weights."""
