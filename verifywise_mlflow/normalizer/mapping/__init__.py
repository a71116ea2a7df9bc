"""The tag mapping: which keys and values of a customer stand for which field and normal form."""
