"""Measuring: latency and cost, and the RTSP server that measures and tests are made with."""
