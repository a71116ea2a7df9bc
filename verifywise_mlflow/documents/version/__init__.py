"""The facts about one version in plain words: the sections that the evidence pack and the report share.

``page.version_sections`` returns all sections. Each other module builds a few sections.
"""
