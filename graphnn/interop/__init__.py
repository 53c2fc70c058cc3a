"""Leave and come back: estimators for scikit-learn, and graphs in other formats."""
