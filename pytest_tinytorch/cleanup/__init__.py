"""`tito cleanup`: what may go is planned first, and removed second, exactly as planned."""
