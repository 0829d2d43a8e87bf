"""The other ends of the line that tests talk to: cameras and webcams that behave badly on purpose."""
