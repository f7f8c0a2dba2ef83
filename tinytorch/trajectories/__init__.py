"""Trajectories of a camera, cut into chunks by travelled distance, and a cache of features of their frames."""
