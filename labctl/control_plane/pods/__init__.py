"""Pods that run as processes of this machine: what a kubelet would do for them, without a container runtime.

kwok plays every pod of a simulated cluster but those with the label `model.RUN_LABEL`: those are run here, as processes
with the pod's environment, user, groups and volumes, so that a person can work in a notebook server on a simulated
node. `runner.PodRunner` watches and runs them; `python -m labctl.control_plane.pods` is its process.
"""
