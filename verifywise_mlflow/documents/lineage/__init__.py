"""Lineage graphs as text for Mermaid and Graphviz, and as a picture.

Names in a graph were written by customers. Each format escapes them in its own way, after invisible characters were
escaped and long texts were cut.
"""
