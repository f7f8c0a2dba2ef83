"""What the installed course changed, and how it comes into a workspace without losing a student's work."""
