"""What travels on the wire: requests, results, dead letters, topics, and how to reach the broker and the store.

Imports none of the other rooms, and nothing heavier than pydantic.
"""
