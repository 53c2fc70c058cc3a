"""Debugging: the node that made a NaN, the pass that changed a result, and a script that reproduces a failure."""
