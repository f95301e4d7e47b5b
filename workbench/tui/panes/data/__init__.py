"""A data set being looked at, without a screen: read in the background, filtered, tokenized."""
