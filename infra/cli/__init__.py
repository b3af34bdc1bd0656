"""The command line, one file per verb. A file imports only typer and the standard library at the top."""
