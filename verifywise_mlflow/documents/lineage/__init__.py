"""Lineage graphs as text for Mermaid and Graphviz, and as a picture.

Names in a graph were written by customers. First, invisible characters are escaped and long texts are cut. Then each
format escapes the names in its own way.
"""
