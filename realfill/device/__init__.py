"""Which device computes, how many processes share the work, and how much of it fits into memory."""
