"""Who is let in, what they may send, and how much of it."""
