"""Fetches the bytes that an image reference names, under caps of size and time.

A fetch passes through these files in this order:

    build.py          puts the sources together from the settings, once per worker
    fetcher.py        picks the source by scheme, retries transient failures, verifies size and sha256
    retry_policy.py   decides how often an attempt is repeated within the fetch, and after which pause
    image_source.py   defines what every source offers: `ImageSource.read` returns a `Body` or `NotModified`
    http/             reads http:// and https:// (its docstring goes on from here)
    s3/               reads s3:// (its docstring goes on from here)
    local_file.py     reads file:// below the configured roots
    answered.py       remembers where images were read: what fails there now may be an outage
    limiter.py        limits how many attempts run at once per store or host, and slows down for an overloaded one

Every file uses settings.py, deadline.py (the total time of one fetch) and errors.py (transient and final failures).

A reference is refused, which raises Rejected, in these places:

    an unknown scheme                                  fetcher.py             Fetcher._source
    an ambiguous or malformed http(s) URL              http/url.py            parse_http_url, resolve_redirect
    a host or a port that is not allowed               http/access_rules.py   AccessRules.check
    a redirect from https to http                      http/access_rules.py   AccessRules.check_redirect
    a host with an address that is not public (SSRF)   http/resolver.py       resolve, by access_rules.is_public
    an HTTP response that holds no image               http/response.py       check_response
    a malformed key, a bucket that is not allowed      s3/url.py              parse_s3_url
    a path outside the roots, a link, a device         local_file.py          FileSource._locate, _open
    too many bytes                                     errors.py              check_size
"""
