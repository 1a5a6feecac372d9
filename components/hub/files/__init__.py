"""Code that runs in the hub itself, mounted by the chart; ordinary Python, tested like the rest."""
