"""The command line: one file per verb. Only typer and the standard library are imported at the top."""
