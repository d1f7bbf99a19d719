"""What the tests stand on: a stand-in of Context7's HTTP API, and the real servers in front of it.

Nothing here knows the package under test, and nothing here reaches beyond this machine,
except `support.npm`, which brings the real servers once through npm.
"""
