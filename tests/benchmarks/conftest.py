"""Benchmarks are run by hand, beside rivals that may not be installed: nothing here is collected."""

collect_ignore_glob = ["*.py"]
