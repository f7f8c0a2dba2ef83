"""The student's folder: where things lie in it, how it is made, and how a working copy becomes an export."""
