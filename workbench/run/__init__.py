"""What a run is on disk: its folder, event log, state, lock, launch and control. Nothing heavy."""
