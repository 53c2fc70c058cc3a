"""Replicas: many copies of a program in one program, along a new first axis of the values that differ between them.

Parameters that differ get the axis, and so does every node that depends on them. A node that depends on none of them is
computed once for all replicas. A rule for each op says how it takes the new axis: elementwise ops as they are, others
with their axes moved by one, products batch by batch, windows over more samples or channels, loops and branches through
their bodies. An op without a rule runs in a loop over the replicas. No replica reads the values of another.
"""

from .rules import replicate

__all__ = ["replicate"]
