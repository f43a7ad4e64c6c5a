"""An exhaustive explorer of the two real state machines of a migration, and what it holds them to."""
