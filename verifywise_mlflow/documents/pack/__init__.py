"""The evidence pack: one archive about one version, for an audit folder, readable without this product.

``archive.build_pack`` returns its bytes, from one ``PackContents``. Most other modules make one or several of its
files; ``verify`` and ``verify_proof`` are packed themselves, and ``json_text`` only writes JSON for the others.
"""
