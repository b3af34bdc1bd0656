"""Holds answers to a format while they are written, checks them afterwards, and says how probable they were.

The life of a constrained answer: `format_checker` refuses a format that cannot be used, before anything is fetched;
`compiler` turns it into a grammar once; a `TokenConstraint` says at each step which tokens may follow; `value` parses
the finished text and checks it again with another library; `path_confidence` and `choice_confidence` turn the tokens'
probabilities into those of the values.
"""
