"""The shared virtual clock: integer nanoseconds, virtual or wall, and the barriers between CPU timelines."""
