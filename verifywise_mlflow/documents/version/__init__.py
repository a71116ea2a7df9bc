"""The facts about one version in plain words: the sections that the evidence pack and the report share.

``page.version_sections`` returns them; each other module builds a few.
"""
