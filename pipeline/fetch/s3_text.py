"""What obstore's exceptions say, which is only text: the store's status and code, and nothing else of it.

The text ends in Rust's debug form, where line breaks that come from keys and from servers are escaped: a line of its
structure cannot be forged. Where the text is not as expected, the exception's class decides.
"""

from __future__ import annotations

import re

from obstore.exceptions import NotFoundError, PermissionDeniedError, UnauthenticatedError

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.s3_verdict import elsewhere, judge
from sightstream.pipeline.fetch.trouble import Transient, Trouble

_DEBUG = "\n\nDebug source:\n"
_STATUS = re.compile(r"^ +inner: Status \{\n +status: (\d{3}),\n +body: (?:None,|Some\(\n +\"(.*)\",)$", re.MULTILINE)
_KIND = re.compile(r"^ +kind: (\w+),$", re.MULTILINE)
_BARE_REDIRECT = re.compile(r"^ +inner: BareRedirect,$", re.MULTILINE)
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_CREDENTIALS = (PermissionDeniedError, UnauthenticatedError)


class ElsewhereError(Exception):
    """The bucket lies in another region."""


def translate(error: Exception) -> PipelineError | ElsewhereError:
    """Never holds the text of `error`, where addresses and the store's own words stand."""
    debug = str(error).rpartition(_DEBUG)[2]
    answered = _STATUS.search(debug)
    if answered is None:
        return _unanswered(error, debug)
    status = int(answered[1])
    code = _CODE.search(answered[2] or "")
    said = code[1] if code else ""
    return ElsewhereError() if elsewhere(said, status) else judge(said, status)


def _unanswered(error: Exception, debug: str) -> PipelineError | ElsewhereError:
    if _BARE_REDIRECT.search(debug):
        return ElsewhereError()
    if isinstance(error, FileNotFoundError | NotFoundError):
        return judge("NotFound", 404)
    if isinstance(error, _CREDENTIALS):
        return Transient(Trouble.UNTRUSTED, "object store: no valid credentials")
    kind = _KIND.search(debug)
    if (kind and kind[1] == "Timeout") or "TimedOut" in debug:
        return Transient(Trouble.SLOW, "object store: no answer in time")
    return Transient(Trouble.BROKEN, f"object store: {kind[1] if kind else type(error).__name__}")
