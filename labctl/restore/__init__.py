"""Homes, groups' and shared folders and the hub's database, brought back from snapshots or from the repository.

The storage host does the work, by the scripts of `components.storage.backup_plan`; here is decided what is meant, which
of the copies there are is taken, and whether that may be.
"""
