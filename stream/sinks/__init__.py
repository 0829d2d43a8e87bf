"""Where results end: files of JSON lines and annotated video. A sink judges nothing."""
