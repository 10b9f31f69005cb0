"""Everything that needs a live model: what its attention calls were handed and gave back."""

from attnscope.capture.session import capture

__all__ = ["capture"]
