"""What the hub does beyond the chart: one package, mounted beside the chart's own configuration.

It needs nothing but what the chart's image has: the standard library, JupyterHub, KubeSpawner and what they bring.
"""
