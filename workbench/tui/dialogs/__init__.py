"""Questions over the panes, one a file. Each returns its answer through `push_screen`."""
