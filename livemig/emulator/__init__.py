"""One emulator process: a machine, a clock, a link and a QMP server, wired together."""
