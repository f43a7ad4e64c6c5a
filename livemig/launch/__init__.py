"""One pair: start a source and a destination, drive them over QMP, collect what they wrote."""
