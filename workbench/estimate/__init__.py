"""What a training will need, from counts and a model's config alone. Light: no torch, no numpy."""
