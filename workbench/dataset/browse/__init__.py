"""Looking at data sets of any size: where rows begin, rows one at a time, findings, search."""
