"""A run as a trace for Perfetto (https://ui.perfetto.dev): its native protobuf, by the extra ``trace``.

``writer`` knows the format, ``tracks`` where things stand; ``timers``, ``guest`` and ``migration`` each turn their
events of the log into slices, instants, counters and flows; ``export`` runs them over a run directory.
"""
