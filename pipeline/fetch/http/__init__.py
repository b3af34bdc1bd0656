"""Reads http:// and https://, safe against server-side request forgery (SSRF).

A GET passes through these files in this order, once per redirect:

    source.py         `HttpSource.read` follows the redirects and runs the steps below for each URL
    url.py            parses the URL strictly; refuses what two parsers could read as two hosts
    access_rules.py   refuses hosts and ports that are not allowed, https to http, and addresses that are not public
    ../limiter.py     waits until the host's concurrency limit admits one more request
    resolver.py       resolves the name once and vets every address that DNS returns
    client.py         sends the request over a kept connection, or connects to a vetted address, with TLS for https
    connection.py     writes the request and reads the response within the deadline; keeps idle connections
    parser.py         parses the response with llhttp; refuses unclear framing, and framing that costs too much
    response.py       checks the status and the headers, then reads the body under the cap of size
"""
