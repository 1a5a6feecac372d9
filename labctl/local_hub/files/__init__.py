"""What the local hub is made from: locked lists of programs, and its configuration, read by JupyterHub itself."""
