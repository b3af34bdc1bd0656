"""Reads Kafka for the worker, the store, the lookup and lag, which use this package and never each other.

types.py            the partition as a key, and the error of a read that may work later
broker.py           groups, committed offsets and partition ends, through one admin client
topic_description.py  topics by name, also while a broker is down
topic_rules.py      what the topics must be like
tail.py             the records that are left in a partition, read one by one
offset_metadata.py  the text that a worker commits beside an offset: what is finished beyond it
aiokafka_arguments.py  connects the client that speaks the requests which librdkafka lacks
message.py          topic, partition, offset and headers of a message, whatever confluent-kafka's types allow
"""
