"""A change of slices on nodes that people work on: the command `python -m components.gpu.reslice`."""
