"""What a graph is: specs, nodes, formulas, the graph itself, and its differentiation."""
