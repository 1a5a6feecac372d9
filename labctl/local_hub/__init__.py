"""The lab's JupyterHub on the machine of whoever develops it: the very hub the stack file describes, as processes here.

A simulated lab has no container runtime, so the hub that the release describes cannot run in it. Here it runs beside
it: the same JupyterHub, KubeSpawner and proxy, configured from the release's own values, signed in to the embedded API
server as the chart's service account. `hub.LocalHub` starts and stops it; users' servers are processes of
`labctl.control_plane.pods`. docs/local-hub.md says what this is and is not.
"""
