"""The trace logs of a real QEMU pair, turned into a run directory that the judge reads like any other.

`trace` reads lines. `survey` looks at a whole log once: which thread is what (`roles`), and what shows where TB and
DECR stood while the guest stood still (`standstill`). `history` goes through both logs again and tells them in the
words of the event schema. `importing` puts the files in place; `facts` are what a run.toml adds.
"""
