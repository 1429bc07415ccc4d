"""Defines the error for a plug-in that does what its port does not allow.

The flow denies the call with ``internal_error``, and shows the error's message.
"""

from __future__ import annotations

__all__ = ["PluginFault"]


class PluginFault(Exception):
    """A plug-in failed, or returned or raised something that its port does not allow.

    The message names the fault and never contains a value or the text of another exception.
    """
