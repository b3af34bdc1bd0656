"""The Grafana dashboard, written from Python: `python -m sightstream.infra.dashboards`."""
