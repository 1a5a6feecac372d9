"""The lab's machines: their roles, labels and capacity, and the cluster they are."""
