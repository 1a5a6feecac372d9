"""Host keys of a lab's machines: collected over the network, compared with the stack file, and written into it."""
