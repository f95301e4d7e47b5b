"""One reader a format: `FORMAT`, `sniff(head, path)` and `read(path)`; see `dataset.read`."""
