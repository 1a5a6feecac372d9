"""The lab's front door: JupyterHub by Zero to JupyterHub's chart."""
