"""Renders blocks as a tagged PDF with Typst, a compiler in a wheel that needs no font and no library of the system."""
