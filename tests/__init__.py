"""Tests: one module a module, on real objects, generated media and real servers."""
