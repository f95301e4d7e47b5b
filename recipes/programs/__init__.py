"""Small programs of our own: what they do (nodes, templates) and how a language writes them."""
