"""Small things that every package needs, written once."""
