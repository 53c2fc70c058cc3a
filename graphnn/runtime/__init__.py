"""Runtime: what happens when a compiled program is called, looped or profiled, and the memory that it takes."""
