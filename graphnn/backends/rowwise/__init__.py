"""Values of the same rows: what a kernel over rows depends on, whatever language it is written in."""
