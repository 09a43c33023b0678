"""What goes wrong in heed, as exceptions."""


class Error(RuntimeError):
    """A file, a request or a device that does not do; the message is one line that says what and why."""


class InvalidArgument(Error, ValueError):
    """An argument that makes no sense, or a model that is closed already."""


class DeviceLost(Error):
    """The device was reset or taken away. Close what is on it; a device opened afresh may work."""


class OutOfMemory(Error, MemoryError):
    """The host has no memory left."""


class Cancelled(Error):
    """The work was stopped before there was a result."""
