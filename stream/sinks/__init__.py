"""Where results end: files of JSON lines and annotated video. A sink judges nothing."""

# Before PyAV, as in stream.sources.
import cv2  # noqa: F401
