"""What NetworkPolicies let through: the policies of a cluster as data, and the verdict on one connection."""
