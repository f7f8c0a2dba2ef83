"""One file for each command group; loaded when one of its commands is called."""
