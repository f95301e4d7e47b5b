"""What an evaluation left on disk: figures, every case, and what has changed against another."""
