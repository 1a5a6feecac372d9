"""Measurements by hand: ``python -m benchmarks``. Ratios come from one run; results go to docs/benchmarks.md."""
