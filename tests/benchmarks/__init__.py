"""Measurements of speed, as ratios in one run: `make bench`. Nothing here is a test."""
