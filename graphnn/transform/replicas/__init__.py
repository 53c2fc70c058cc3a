"""Replicas: many copies of a program in one, along a new first axis of what differs between them.

Parameters that differ get the axis, and so does all that depends on them; what depends on none of them is computed
once for all. Each op says by a rule how it goes along: elementwise ones as they are, others with their axes moved by
one, products batch by batch, windows over more samples or channels, loops and branches with their bodies. What has no
rule runs in a loop over replicas. So no replica reads another, and each is what it would be alone.
"""

from .rules import replicate

__all__ = ["replicate"]
