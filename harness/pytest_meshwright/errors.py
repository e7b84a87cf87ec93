"""The errors that the harness raises: one line each, with what to do about it."""


class HarnessError(Exception):
    """Something that the harness needs is missing or did not work; the text says what to do."""


class WaitTimeoutError(HarnessError, TimeoutError):
    """A condition did not come true in time; the text says what was seen last."""
