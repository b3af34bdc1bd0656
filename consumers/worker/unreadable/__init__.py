"""Gives each record of a batch that librdkafka can't read its own outcome, instead of stopping its partition for ever.

A few kilobytes of zstd can expand beyond librdkafka's limit. It then reports an error at the batch's offset again and
again, and delivers nothing behind it. The batch also holds honest records, so it must not be passed over.

    cases.py         the partitions that wait for such a batch, what was tried, and when to give up
    batch_reader.py  the parent's side of one attempt: a child process, and what it reports
    child.py         the child: fetches the batch over a connection of its own, under a cap of memory
    fetch.py         asks the broker for one batch
    record_batch.py  the layout of a batch: header, checksum, compression, records
    reports.py       what the child reports, as lines of JSON

Nothing is lost or answered twice by it: records go into the ledger like any others, in the order of their offsets, and
the consumer goes on behind the batch only after its last record is there. A worker that loses the partition meanwhile
drops the case, and the next owner meets the batch again.
"""
