"""Live migration, sans-I/O: what the two sides say to each other, and when."""
