"""The pytest plugin, and the logic of the course behind it."""
