"""The embedded engine: run the program in process, decide the steps, execute them, keep the state."""
