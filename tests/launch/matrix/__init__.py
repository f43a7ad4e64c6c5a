"""Two real processes, a link between them that can be held at any frame, and what can go wrong there."""
