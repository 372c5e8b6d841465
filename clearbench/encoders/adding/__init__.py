"""New encoders: a card of a library's model, or of a checkpoint."""
