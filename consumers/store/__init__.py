"""The results store: every outcome on the result and dead-letter topics, as rows in SQLite.

The database owns the read position: rows and positions change in one database transaction, so the rows equal the
topics whenever the process is killed. `rows.py` turns a record into a row, `database.py` keeps rows and positions,
`follower.py` reads Kafka, `reader.py` answers questions.
"""
