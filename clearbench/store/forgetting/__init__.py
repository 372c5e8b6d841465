"""How a patient leaves a store: who it is, what there is of them, its removal, and the proof."""
