"""The tag mapping: the fields and normal forms that a customer's keys and values mean."""
