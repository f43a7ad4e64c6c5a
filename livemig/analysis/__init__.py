"""Logs in, verdict out. Knows the event schema, and nothing else of livemig.

Read `judge` first. One pass over the merged logs (`log`) feeds a handful of observers (`crossing`, `account`,
`timebase`, …); the `checks` are pure functions of what these saw; `text` shows the result.
"""
