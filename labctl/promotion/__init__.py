"""Pins promoted from one environment to its neighbour, as a reviewable change of one file.

The policy is data (`stacks.environments`, `stacks.promotion`). Everything here but `repository` and `effects` is pure:
pins of two environments in, a plan and the new text of a file out.
"""
