"""See it: listings for reading and testing, pictures in DOT and Mermaid, and files drawn from them."""
