"""Backends: plan in, program out. What a program is, which backends there are, and whether each works here."""
