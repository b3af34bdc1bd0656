"""Classifies the errors of an S3 store: one table for both clients.

obstore's exceptions carry only text, of which the store's status and code are used and nothing else. The text ends in
Rust's debug form, where line breaks from keys and from servers are escaped, so a line of its structure cannot be
forged. Where the text is not as expected, the exception's class decides.
"""

from __future__ import annotations

import re

from obstore.exceptions import NotFoundError, PermissionDeniedError, UnauthenticatedError

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

_NOT_FOUND = {
    *("NoSuchKey", "NoSuchVersion", "404", "NotFound", "InvalidObjectName", "KeyTooLongError"),
    "MethodNotAllowed",  # the version named is a delete marker
}
_DENIED = {"403", "AccessDenied", "AllAccessDisabled"}
_ARCHIVED = "InvalidObjectState"
_NO_SUCH_NAME = {"InvalidBucketName", "InvalidURI", "InvalidArgument"}
_THROTTLED = {
    *(
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
    ),
    *("TooManyRequests", "TooManyRequestsException", "BandwidthLimitExceeded", "ServiceUnavailable", "Busy"),
}
# Wrong credentials or a wrong clock: the request waits until they are right.
_MISCONFIGURED = {
    *("RequestTimeTooSkewed", "RequestExpired", "ExpiredToken", "ExpiredTokenException", "InvalidToken"),
    *("TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "NotSignedUp"),
    *("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "AccountProblem", "401"),
}
_SLOW = {"RequestTimeout", "RequestTimeoutException"}
_WRONG_REGION = {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"}
_SAFE_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_OVERLOADED = {429, 503}

_DEBUG = "\n\nDebug source:\n"
_STATUS = re.compile(r"^ +inner: Status \{\n +status: (\d{3}),\n +body: (?:None,|Some\(\n +\"(.*)\",)$", re.MULTILINE)
_KIND = re.compile(r"^ +kind: (\w+),$", re.MULTILINE)
_BARE_REDIRECT = re.compile(r"^ +inner: BareRedirect,$", re.MULTILINE)
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
MORE_THAN_ANNOUNCED = "object store: it sends more than the size that it announced"
NOWHERE = "127.0.0.1:1"  # nobody listens at this port, which only root can open
_TO_NOWHERE = re.compile(rf"^ +{re.escape(NOWHERE)},$", re.MULTILINE)
_CREDENTIALS = (PermissionDeniedError, UnauthenticatedError)


class NoSuchBucket(Rejected):
    """The store has no such bucket: one request's spelling, or an outage of a bucket that was there."""


class AccessDenied(Rejected):
    """The store refuses access: to one object, or to everything once the worker has lost its permission."""


class WrongRegionError(Exception):
    """Reports that the bucket lies in another region."""


def classify(code: str, status: int) -> PipelineError:
    """Return the error for a store's `code`, "" where it gave none, and its HTTP status, 0 where unknown."""
    shown = code if _SAFE_CODE.fullmatch(code) else "no code"
    detail = f"object store: {shown} ({status})"
    if code in _THROTTLED or status in _OVERLOADED:
        return TransientError(FailureKind.THROTTLED, detail)
    if code in _MISCONFIGURED or status == 401:
        return TransientError(FailureKind.MISCONFIGURED, detail)
    if code in _SLOW:
        return TransientError(FailureKind.SLOW, detail)
    if status >= 500:
        return TransientError(FailureKind.BROKEN, detail)
    return _final(code, status, detail)


def _final(code: str, status: int, detail: str) -> Rejected:
    if code == "NoSuchBucket":
        return NoSuchBucket(Reason.IMAGE_NOT_FOUND, Stage.FETCH, detail)
    if code in _DENIED or (status == 403 and not code):
        return AccessDenied(Reason.ACCESS_DENIED, Stage.FETCH, detail)
    return rejected(_reason(code, status), detail)


def wrong_region(code: str, status: int) -> bool:
    """Return whether the bucket lies in another region than the one that was asked."""
    return code in _WRONG_REGION or status in (301, 307)


def _reason(code: str, status: int) -> Reason:
    if code in _NOT_FOUND or status == 404:
        return Reason.IMAGE_NOT_FOUND
    if code == _ARCHIVED:
        return Reason.ACCESS_DENIED
    if code in _NO_SUCH_NAME:
        return Reason.UNSUPPORTED_URI
    return Reason.FETCH_REFUSED


def translate(error: Exception) -> PipelineError | WrongRegionError:
    """Return the error for an exception of obstore, without its text: that has addresses and the store's own words."""
    debug = str(error).rpartition(_DEBUG)[2]
    response = _STATUS.search(debug)
    if response is None:
        return _translate_unanswered(error, debug)
    status = int(response[1])
    match = _CODE.search(response[2] or "")
    code = match[1] if match else ""
    return WrongRegionError() if wrong_region(code, status) else classify(code, status)


def _translate_unanswered(error: Exception, debug: str) -> PipelineError | WrongRegionError:
    if _BARE_REDIRECT.search(debug) or _TO_NOWHERE.search(debug):  # boto3 follows a bucket to its region, nothing else
        return WrongRegionError()
    if isinstance(error, FileNotFoundError | NotFoundError):
        return classify("NotFound", 404)
    if isinstance(error, _CREDENTIALS):
        return TransientError(FailureKind.MISCONFIGURED, "object store: no valid credentials")
    kind = _KIND.search(debug)
    if (kind and kind[1] == "Timeout") or "TimedOut" in debug:
        return TransientError(FailureKind.SLOW, "object store: no answer in time")
    return TransientError(FailureKind.BROKEN, f"object store: {kind[1] if kind else type(error).__name__}")
