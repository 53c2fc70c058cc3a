"""See it: listings, pictures of graphs, and plots."""
