"""The governance report: a static site about one or several tenants, for a browser, a board and a printer.

``site.py`` writes the site, ``tenant_state.py`` reads what its pages show, and ``page_writer.py`` renders templates.
Pages of versions consist of the parts in ``documents/version``, which the evidence pack uses as well.
"""
