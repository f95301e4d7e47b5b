"""What can be done in the Train pane."""

from __future__ import annotations

from workbench.tui.actions import Action

ACTIONS = (
    Action("train.stop", "s", "Stop", "Stop at the next safe point, with a checkpoint."),
    Action("train.resume", "r", "Resume", "Go on where the run stopped."),
    Action("train.checkpoint", "c", "Checkpoint", "Write a checkpoint now."),
    Action("train.smoother", "right_square_bracket", "Smoother", "Smooth the loss more."),
    Action("train.rougher", "left_square_bracket", "Rougher", "Smooth the loss less.", False),
    Action("train.log_y", "l", "Log", "Logarithmic or linear y axis."),
    Action("train.crosshair", "x", "Crosshair", "Read values off the curves; arrows move it."),
    Action("train.zoom_in", "plus,equals_sign,i", "Zoom in", "Show less, larger."),
    Action("train.zoom_out", "minus,o", "Zoom out", "Show more.", False),
    Action("train.left", "left", "Left", "Move the crosshair or the window left.", False),
    Action("train.right", "right", "Right", "Move the crosshair or the window right.", False),
    Action("train.reset", "0", "Whole", "The whole curve again, no crosshair.", False),
    Action(
        "train.figure", "v", "Figure", "Loss, general text, learning rate, gradient norm, speed."
    ),
    Action("train.stage", "t", "Stage", "The next training stage's curves."),
    Action(
        "train.answers",
        "a",
        "Answers",
        "The answers to all prompts; again: to one, over time.",
        False,
    ),
    Action("train.events", "e", "Events", "Notes and warnings of the run.", False),
    Action("train.log", "w", "Log", "The worker's log.", False),
    Action("train.wide", "b", "Big", "The chart alone, what is below alone, or both.", False),
    Action("train.find", "slash", "Find", "Find a text in the log."),
    Action("train.next_match", "n", "Next", "The next place of the text in the log."),
    Action("train.previous_match", "N", "Previous", "The place before.", False),
    Action("train.follow", "f", "Follow", "To the log's end, and stay there."),
    Action("train.marks", "full_stop", "Dots", "Draw curves in dots or in blocks.", False),
    Action(
        "train.save_curves", "C", "Save", "Save the chart (SVG, PNG) or its figures (CSV).", False
    ),
)
