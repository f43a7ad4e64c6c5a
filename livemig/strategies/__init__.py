"""Rules for saving the time state on the source and restoring it on the destination; all of them in ``table``."""
