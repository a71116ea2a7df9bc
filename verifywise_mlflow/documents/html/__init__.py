"""Renders blocks as HTML. The pages have our own styles, and contain no scripts and no requests."""
