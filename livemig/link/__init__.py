"""Links: what carries frames between the two sides, and what a link does to them."""
