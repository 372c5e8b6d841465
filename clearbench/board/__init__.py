"""Leaderboards: results compared, ranked and rendered as tables."""
