"""The evidence pack: one archive about one version, for an audit folder, readable without this product.

``archive.build_pack`` returns its bytes. Each other module makes one of its files from the same ``PackContents``.
"""
