"""Pod network, load balancer, gateway and certificates of a cluster."""
