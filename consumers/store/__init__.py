"""Writes every outcome on the result and dead-letter topics as a row into SQLite.

The database owns the read position: rows and positions change in one database transaction, so the rows equal the
topics whenever the process is killed. In call order:

    run.py       starts the store from its settings
    follower.py  reads both topics and answers rebalances
    message.py   turns a message into a record, rows.py a record into a row (row.py defines both)
    result_columns.py  the columns of a result, and of the answers to its questions
    batch.py     collects rows and read positions
    database.py  writes them in one transaction; migrations/ holds the schema
    reader.py    answers questions about a results file while the store writes to it
    condition.py compares answers with what a person asks for
"""
