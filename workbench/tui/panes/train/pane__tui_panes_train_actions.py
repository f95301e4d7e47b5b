"""What can be done in the Train pane."""

from __future__ import annotations

from workbench.tui.actions import Action

ACTIONS = (
    Action("train.stop", "s", "Stop", "Stop at the next safe point; save a checkpoint."),
    Action("train.resume", "r", "Resume", "Resume the run where it stopped."),
    Action("train.checkpoint", "c", "Checkpoint", "Save a checkpoint now."),
    Action("train.smoother", "right_square_bracket", "Smoother", "Smooth the loss more."),
    Action("train.rougher", "left_square_bracket", "Less smooth", "Smooth the loss less.", False),
    Action("train.log_y", "l", "Log scale", "Toggle the logarithmic y axis."),
    Action("train.crosshair", "x", "Crosshair", "Read values off the curves; arrow keys move it."),
    Action("train.zoom_in", "plus,equals_sign,i", "Zoom in", "Zoom in on the curves."),
    Action("train.zoom_out", "minus,o", "Zoom out", "Zoom out.", False),
    Action("train.left", "left", "Left", "Move the crosshair or view left.", False),
    Action("train.right", "right", "Right", "Move the crosshair or view right.", False),
    Action("train.reset", "0", "Reset", "Show the whole curve, without crosshair.", False),
    Action("train.figure", "v", "Metric", "Choose the metric to plot: loss, speed and others."),
    Action("train.stage", "t", "Stage", "Show the next training stage."),
    Action(
        "train.answers",
        "a",
        "Samples",
        "Show samples; again: one prompt over time.",
        False,
    ),
    Action("train.events", "e", "Notes", "Show notes and warnings of the run.", False),
    Action("train.log", "w", "Log", "Show the worker log.", False),
    Action("train.wide", "b", "Layout", "Show the chart, the lower panel, or both.", False),
    Action("train.find", "slash", "Search", "Search the log."),
    Action("train.next_match", "n", "Next match", "Go to the next match in the log."),
    Action("train.previous_match", "N", "Previous match", "Go to the previous match.", False),
    Action("train.follow", "f", "Follow", "Follow the end of the log."),
    Action("train.marks", "full_stop", "Dots/blocks", "Draw curves with dots or blocks.", False),
    Action("train.save_curves", "C", "Save", "Save the chart (SVG, PNG) or its data (CSV).", False),
)
