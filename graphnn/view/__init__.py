"""Views: graphs and plans as listings, as pictures in DOT and Mermaid, and as drawn files and pages."""
