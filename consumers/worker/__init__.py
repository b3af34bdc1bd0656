"""Consumes requests, runs them through the flow, and commits their outcomes with the offsets in one transaction.

In call order:

    run.py           starts a worker from its settings: name, topic check, flow, signals, metrics
    name.py          gives it a name that is unique among live workers and stable over restarts
    topic_check.py   checks at start that the topics fit, and that the group's offsets are not lost
    topic_watch.py   notices that the request topic is another one, deleted or compacted
    worker.py        the loop, and the answers to the group's rebalances
    intake.py        polls the consumer, registers each record in its partition and submits it to the flow
    incoming.py      makes a delivery of a record, or says why it is rejected
    unreadable/      reads record batches that the consumer can't
    lost_position.py goes on where retention removed records, or stops
    delivery.py      a record in this worker's hands, with its attempts
    request_flow.py  the part of the pipeline's flow that a worker uses
    isolation.py     runs requests apart that may have killed the whole worker, and rejects the one that did
    journal.py       the file that says which requests were in progress when the worker died
    state_folder.py  holds the folder of the name and the journal, which is this user's alone
    outcomes.py      collects outcomes from the flow: an end goes to the ledger, a failure to the retry queue
    retry_queue.py   decides when a request is tried again, and holds what waits for a dependency that is down
    breakers.py      one circuit breaker per dependency that fails, and what closes it
    admission.py     decides which new record is worked on, waits, or is held while others wait
    records.py       turns results and rejections into the records of the result and dead-letter topics
    committer.py     decides when to commit, and what; `Committer._commit` is where offsets are committed
    transactions.py  sends records and offsets in one Kafka transaction (`Transactions.commit`), and names its failures
    permissions.py   names the ACL that is missing
    assignment.py    the partitions that this worker owns now, and the deliveries of each
    ledger.py        the offsets of one partition: pending, finished, committed
    settings.py      the settings of all of them

The text that is committed beside an offset is described in consumers/kafka/offset_metadata.py.
"""
