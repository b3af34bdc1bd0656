"""What an S3 store's error means for the image: one table for every client."""

from __future__ import annotations

import re

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.refusals import rejected
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.schemas.wire.dead_letter import Reason

_NOT_FOUND = {
    *("NoSuchKey", "NoSuchBucket", "NoSuchVersion", "404", "NotFound", "InvalidObjectName", "KeyTooLongError"),
    "MethodNotAllowed",  # the version named is a delete marker
}
_DENIED = {"403", "AccessDenied", "InvalidObjectState", "AllAccessDisabled"}
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
# Credentials or a clock that are wrong: the request waits until they are right.
_OURS_TO_MEND = {
    *("RequestTimeTooSkewed", "RequestExpired", "ExpiredToken", "ExpiredTokenException", "InvalidToken"),
    *("TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "NotSignedUp"),
    *("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "AccountProblem", "401"),
}
_SLOW = {"RequestTimeout", "RequestTimeoutException"}
_ELSEWHERE = {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"}
_WORD = re.compile(r"[A-Za-z0-9.]{1,64}")
_OVERLOADED = {429, 503}


def judge(code: str, status: int) -> PipelineError:
    """The error for a store's answer: its `code`, "" where it gave none, and its HTTP status, 0 where unknown."""
    said = code if _WORD.fullmatch(code) else "no code"
    detail = f"object store: {said} ({status})"
    if code in _THROTTLED or status in _OVERLOADED:
        return Transient(Trouble.THROTTLED, detail)
    if code in _OURS_TO_MEND or status == 401:
        return Transient(Trouble.UNTRUSTED, detail)
    if code in _SLOW:
        return Transient(Trouble.SLOW, detail)
    if status >= 500:
        return Transient(Trouble.BROKEN, detail)
    return rejected(_reason(code, status), detail)


def elsewhere(code: str, status: int) -> bool:
    """Whether the bucket lies in another region than the one that was asked."""
    return code in _ELSEWHERE or status in (301, 307)


def _reason(code: str, status: int) -> Reason:
    if code in _NOT_FOUND or status == 404:
        return Reason.IMAGE_NOT_FOUND
    if code in _DENIED or (status == 403 and not code):
        return Reason.ACCESS_DENIED
    if code in _NO_SUCH_NAME:
        return Reason.UNSUPPORTED_URI
    return Reason.FETCH_REFUSED
