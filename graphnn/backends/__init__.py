"""Backends: each turns a plan into a program. Here is what a program is, and which backends work on this machine."""
