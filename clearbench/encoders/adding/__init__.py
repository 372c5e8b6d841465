"""New encoders: a card from a library's model or from a checkpoint."""
