"""A user's op that has no kernel: only NumPy computes it."""

import numpy as np

import graphnn as gn


class Shifted(gn.Node):
    """x + 1."""

    x: gn.Node

    def infer(self):
        """The operand's."""
        return self.x.spec

    def forward(self, xp, x):
        """On the host."""
        return np.asarray(x) + 1

    def vjp(self, g):
        """What comes."""
        return g
