"""Stand-in definitions of custom resources, for simulated clusters whose charts cannot be reached."""
