"""Everything around: the command line, the local runtime, the demo and its model, dashboards."""
