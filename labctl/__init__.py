"""The command line of the lab and the embedded engine behind it; the Pulumi program never imports it."""
