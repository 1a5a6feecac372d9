"""Judgements over facts: pure, each small, one module per part of a lab; `registry.py` has them all."""
