"""Interoperation: estimators for scikit-learn, and graphs in files."""
