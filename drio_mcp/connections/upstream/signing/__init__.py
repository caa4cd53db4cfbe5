"""Signatures made with a connection's secret: of single calls (AWS, OAuth 1.0), and of JWTs (RFC 7523).

The secret itself goes nowhere. What is signed is what goes out, byte for byte: a signer may spell the address anew, and
its spelling is sent.
"""
