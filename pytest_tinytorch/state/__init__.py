"""What `.tito/` holds: progress, milestones, preferences, versions and backups, and how they are kept whole."""
