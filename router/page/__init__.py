"""The page at `/`: ask in any mode, watch the answer come about, compare two modes, see what it all cost."""
