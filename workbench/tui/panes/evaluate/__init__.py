"""An evaluation on the screen: what was asked, which of it is wanted, how it is told."""
