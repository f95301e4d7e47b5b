"""A run without a screen: start its worker, follow its event log, tell it in lines or as JSON."""
