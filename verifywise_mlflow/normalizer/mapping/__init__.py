"""The tag mapping: which keys and words of a customer stand for which field and value."""
