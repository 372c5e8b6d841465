"""A card's weights: where they are, how they are fetched, and how they are read."""
