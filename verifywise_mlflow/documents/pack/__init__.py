"""The evidence pack: one archive about one version, for an audit folder, readable without this product.

``archive.build_pack`` returns the bytes of the archive, from one ``PackContents``. Most other modules create one or
several files of the archive. ``verify`` and ``verify_proof`` are themselves files of the archive. ``json_text`` only
writes JSON for the other modules.
"""
