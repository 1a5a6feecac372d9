"""Keeps the table of identities in step with the lab's directory.

It runs in a pod of its own, beside the hub and out of its reach: reads people and groups over LDAP, and writes one
ConfigMap, which is all its account may write. Every round reads the directory whole; a round that fails, or that would
lose too many people at once, changes nothing. It needs nothing but the standard library and ldap3, which the chart's
image of the hub has (for its LDAP sign-in).
"""
