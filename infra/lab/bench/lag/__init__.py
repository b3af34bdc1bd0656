"""Measures the lag reader: against the topics themselves, what being scraped costs, and with very many partitions."""
