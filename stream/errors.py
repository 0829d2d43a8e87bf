"""Every deliberate error of actionstream, as one tree; nothing else lives here.

    StreamError
      ConfigError (ValueError)      a setting, an option or a label list that cannot be
      BundleError (ValueError)      a bundle that is missing, damaged or does not fit
      DeviceError (RuntimeError)    a provider, a display or a library that is not usable here
      SourceError (OSError)
        SourceOpenError             could not be opened
          SourceRefused             refused the user and password: asking again soon would only lock the account
        SourceLost                  was open and ended or broke
          SourceStalled             was open and fell silent
      SinkError (OSError)           could not be written to

A message says what, what was expected, what was got, and what to do next, in one line. The command line prints it and
exits with 1; a traceback appears only with ``--debug``.
"""

__all__ = [
    "BundleError",
    "ConfigError",
    "DeviceError",
    "SinkError",
    "SourceError",
    "SourceLost",
    "SourceOpenError",
    "SourceRefused",
    "SourceStalled",
    "StreamError",
]


class StreamError(Exception):
    """The root: whoever catches it catches every deliberate error."""


class ConfigError(StreamError, ValueError):
    """A setting, an option or a label list that cannot be."""


class BundleError(StreamError, ValueError):
    """A bundle that is missing, damaged or does not fit."""


class DeviceError(StreamError, RuntimeError):
    """A provider, a display or a library that cannot be used on this machine."""


class SourceError(StreamError, OSError):
    """A video source that failed."""


class SourceOpenError(SourceError):
    """A video source that could not be opened."""


class SourceRefused(SourceOpenError):
    """A camera that wants another user or password."""


class SourceLost(SourceError):
    """A video source that was open and ended, stalled or broke."""


class SourceStalled(SourceLost):
    """A video source that was open and fell silent, the connection still standing."""


class SinkError(StreamError, OSError):
    """A file, an encoder or a service that could not be written to."""
