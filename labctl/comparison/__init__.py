"""How two environments, or two revisions of one stack, differ: versions, machines, configuration, resources.

Pure, on plain data; what two environments cannot share (names, addresses, keys, which machine is which) is recognised
(`names`) and left out. What was left out is counted, so that nobody takes it for nothing.
"""
