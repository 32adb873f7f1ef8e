"""The same points in two photos: LoFTR, ALIKED, SIFT, and the ranking by their matches (§3.4)."""
