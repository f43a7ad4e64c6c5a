"""livemig: a laboratory for timekeeping in live migration.

Floors, bottom to top; a module imports only from floors below its own
(``tests/test_house.py`` keeps it so):

    errors → config → events → clock → timers → guests → machine → strategies
    → migration → link → qmp → emulator → analysis → launch → stress → cli

Read ``timers`` first, then ``strategies``: that is the problem. ``migration`` is live migration.
"""

__version__ = "0.1.0"
