"""Order and bytes: when each node runs, and where its value lies."""
