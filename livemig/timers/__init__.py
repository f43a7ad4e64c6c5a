"""Timers as pure state machines: no I/O, no clock, no async. Start with ``ticks``, then ``timebase``.

HDECR, PIT, FIT and watchdog take their place beside ``decrementer``.
"""
