"""Kernels over rows, for any backend that generates code: their structure, without the text of the code."""
