"""The hub's database, its backup, its health."""
