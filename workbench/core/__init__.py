"""Shared by every room: errors, text, files, paths, child processes, sampling."""
