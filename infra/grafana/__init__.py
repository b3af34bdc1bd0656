"""The Grafana dashboard, written from Python: `python -m infra.grafana`."""
