"""Serves the newest result of each product over HTTP on loopback, from a Faust table that the result topic fills.

In call order:

    run.py             starts everything and decides when the table may answer
    topics.py          creates the changelog topic that the table is rebuilt from
    folder.py          locks the data folder, drops tables of another changelog, writes down the address
    table.py           the Faust app: one record after the other into the table
    read_committed.py  makes Faust read committed records only
    header_names.py    makes aiokafka read records with header names that are not UTF-8
    connection.py      gives Faust the same way to the broker as librdkafka
    entry.py           turns a result into the table's entry, and tells which of two is newer
    catch_up.py        finds out whether every record that was on the topic is in the table
    freshness.py       tells for which partitions Kafka no longer answers
    web.py             the HTTP pages
    client.py          asks a running lookup; the command uses it
"""
