//! A bounded ring of transitions: `story(task)` tells what happened to it.
