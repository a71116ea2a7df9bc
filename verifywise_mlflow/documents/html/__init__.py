"""Renders blocks as HTML: with our own styles, without scripts, and without a request to anywhere."""
