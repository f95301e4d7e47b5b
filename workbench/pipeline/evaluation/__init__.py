"""Answers to held-out prompts, judged, compared, and told as a report."""
