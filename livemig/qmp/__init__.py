"""QEMU Machine Protocol: ``wire`` (sans-I/O) and ``commands`` below, ``server`` and ``client`` above.

After QEMU's docs/interop/qmp-spec; texts and classes of errors as QEMU 7.2 to 10.0 word them.
"""
