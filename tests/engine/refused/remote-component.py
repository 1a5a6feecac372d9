"""uses a component that a plugin makes"""

from pulumi_kubernetes.helm.v4 import Chart

Chart("chart", chart="./chart")
