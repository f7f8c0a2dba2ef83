"""What the course is: its modules, milestones, required tests and exercises, read from `templates/`."""
