"""Loops over rows: several values of the same rows in one kernel, folds over the rows among them."""
