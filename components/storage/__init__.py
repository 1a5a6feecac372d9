"""Homes, scratch space and shared folders of a cluster."""
