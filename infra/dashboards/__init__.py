"""Writes the Grafana dashboard from Python: `python -m sightstream.infra.dashboards`."""
