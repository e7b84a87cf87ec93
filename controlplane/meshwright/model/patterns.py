"""Regular expressions in the syntax that Envoy takes, which is RE2's."""
# pyright: basic
# google-re2 ships no type stubs.

from __future__ import annotations

import re2

_QUIET = re2.Options()
_QUIET.log_errors = False


def find_pattern_error(pattern: str) -> str | None:
    """Why a text is no regular expression of RE2's, or None where it is one.

    Source: https://github.com/google/re2/wiki/Syntax
    """
    try:
        re2.compile(pattern, _QUIET)
    except re2.error as error:
        reason = error.args[0]
        return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    return None


def matches_pattern(pattern: str, text: str) -> bool:
    """Whether a text as a whole matches a regular expression, as Envoy judges it."""
    return re2.compile(pattern, _QUIET).fullmatch(text) is not None
