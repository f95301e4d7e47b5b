"""Parquet, Arrow and hub data sets, read in a process of their own.

Nothing imports this room: pyarrow and datasets are heavy, and a broken file may take the process
that reads it down. `dataset.readers.foreign` starts `python -m workbench.columnar PLACE` and reads
lines of JSON: the columns, then a record or a fault a line, then the end.
"""
