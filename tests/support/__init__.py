"""Support for the tests: a stand-in of Context7's HTTP API, the real servers, and fakes.

The stand-in and the real servers know nothing of the package under test. Nothing here reaches
beyond this machine, except `support.npm`, which brings the real servers once through npm.
"""
