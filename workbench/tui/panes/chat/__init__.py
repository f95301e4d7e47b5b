"""A chat with one model or two side by side, without a screen; and answers put right."""
