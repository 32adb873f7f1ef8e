"""Photos as arrays: decode, crop to the working size and back, holes, composite, encode."""
