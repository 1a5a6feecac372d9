"""How much a lab holds: how many of each profile, when a mixture of users is full, which GPU layout serves a demand."""
