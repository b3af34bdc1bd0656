"""The look-up: a Faust table of the newest result of each product, served over HTTP on loopback."""
