"""Reads dead letters, and publishes their requests again: each letter at most once, and none out of reach.

In call order:

    topic_check.py   makes sure that the marker topic forgets nothing
    job.py           opens a producer, reads the markers and runs a pass; its docstring says why that is exact
    redrive_pass.py  reads all letters once and commits batches
    reading.py       reads markers and letters; letter.py is a letter, filters.py selects some
    markers.py       knows what became of each letter
    decision.py      decides what becomes of one letter
    republish.py     makes the records of one transaction
    transaction.py   commits them; pace.py limits how fast
    kafka_topics.py  the topics on a real Kafka, behind protocol.py
    tally.py         counts it all
    errors.py        lists the ways to end early
"""
