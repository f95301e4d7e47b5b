"""A preset being edited, without a screen: its text, its values and faults, what can be undone."""
