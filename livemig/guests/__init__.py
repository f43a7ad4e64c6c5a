"""What an operating system does with its timers and its memory.

A guest sees what a program sees: TB and DECR, nothing of the clocks behind them.
"""
