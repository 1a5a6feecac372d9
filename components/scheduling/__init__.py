"""Where pods go: the schedulers' names for interactive and for batch work, and what the scheduler is told."""
