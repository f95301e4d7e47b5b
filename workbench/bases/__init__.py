"""What can be known of a base model from its small files: light, so that it is known at once."""
