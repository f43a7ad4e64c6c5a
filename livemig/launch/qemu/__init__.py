"""A real QEMU as engine: two ``qemu-system-ppc`` processes instead of two of ours, and the same verdict.

`scenario` is the way from a configuration to a verdict. `workload` says what of a configuration QEMU's guest can do;
`guest` is that guest, seen from outside; `binary` finds QEMU; `command` is how it is started; `process` is one that
runs, `pair` are two; `follow` reads their trace while it grows; `proxy` is the link between them.
"""
