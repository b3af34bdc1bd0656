"""Looks at everything that a pipeline stands on, and says what to change: `sightstream doctor`.

doctor.py         which areas there are, for which role, in which order
types.py          what a check yields: a finding, a fact, or something that it could not look at
findings.py       every finding, and how bad it is
report.py         runs the checks, and prints what they yield
settings_check.py  settings that are wrong, contradict each other, or show a secret
broker_check.py   the broker: reached, its version, its limits; broker_connection.py connects and names what fails
kafka_requests.py  the requests that librdkafka does not have
topic_check.py    the topics, and the group's offsets
acl_check.py      the operations that this user may do; roles.py says which each role needs
clock_check.py    our clock beside the broker's
object_store_check.py, cache_check.py, disk_check.py, database_check.py, gpu_check.py, model_check.py
image_check.py    one image through the pipeline
"""
