"""The command line by subject: each file a typer application; `labctl.cli` puts them together."""
