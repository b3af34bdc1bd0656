"""Reads Kafka: the worker, the store, the lookup, redrive and lag.

worker/            consumes requests and publishes their outcomes
store/             writes every outcome as a row into SQLite
lookup/            serves the newest result of each product over HTTP
redrive/           lists dead letters and publishes their requests again
lag/               measures how far each of them is behind
kafka/             common reading of Kafka; the packages above use it and never import each other
metrics.py         the metrics of all of them
private_files.py   opens files of this user alone
http_security.py   whom all HTTP servers answer, and their headers
http_settings.py   where they listen, and their token
probes.py          what a process says of itself to probes
metrics_server.py  serves /metrics and the probes
"""
