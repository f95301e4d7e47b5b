"""The curves: points kept so that any stretch's extremes are found at once, and their drawing."""
