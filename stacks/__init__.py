"""What distinguishes the environments, and how a cluster is put together."""
