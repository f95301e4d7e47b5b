"""The screen: one Textual app that reads run folders and starts workers; it owns no run.

Nothing heavy is imported here (no torch, transformers, numpy, llama_cpp), and never the pipeline.
`docs/tui.md` tells how a pane is added.
"""
