"""The TOML files: units, presets, the models, and one error for whatever is wrong.

Read ``model`` for the keys, ``load`` for the way from a file to a ``Config``.
"""
