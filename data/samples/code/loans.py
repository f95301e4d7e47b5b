# SPDX-License-Identifier: Apache-2.0
"""Loans of the tool library."""

from datetime import timedelta

WEEK = timedelta(days=7)


def ends(start):
    """The day a loan that begins on `start` ends."""
    return start + WEEK
