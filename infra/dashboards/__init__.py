"""Writes the Grafana dashboards from Python: `python -m sightstream.infra.dashboards`.

One module defines one dashboard; grafana/ holds what is written. promql.py has the expressions that they use alike,
panels.py and dashboard.py turn them into Grafana's JSON.
"""
