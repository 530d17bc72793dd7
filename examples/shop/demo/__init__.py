"""What `run` is made of: the pieces of the shop, its people, the trouble, and the proof."""
