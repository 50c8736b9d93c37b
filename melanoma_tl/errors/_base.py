"""The base of all errors of this library."""


class MelanomaTLError(Exception):
    """Base class: ``except MelanomaTLError`` catches everything the library raises on purpose."""
