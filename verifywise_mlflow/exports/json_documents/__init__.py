"""The versioned JSON documents that commands print with ``--json``.

A document is a class that derives from ``document.JsonDocument``. Its fields, types and docstrings are the only
definition. The JSON Schema, the reference page and the printed document are derived from them.

To add a document:

1. Write the class in a module of this package, with ``NAME``, ``VERSION``, and a docstring for each field. Rows are
   value objects with ``__pydantic_config__ = DESCRIBED``, so that the docstrings of their fields are published, too.
2. Add it to ``catalog.DOCUMENTS``.
3. Run ``python -m verifywise_mlflow_tests.exports.documents_page``. It writes ``schemas/NAME.vN.json`` in this package,
   which is a part of the wheel, a copy under ``docs/reference/schemas``, and the page. A test compares these files with
   the class.
4. Print it with ``cli.json_output.print_document``, and validate a real output with ``check_document`` of
   ``verifywise_mlflow_tests.support.json_documents``.

A later release may add members to a version of a document. If a change could break a reader, increase ``VERSION``. The
member ``schema`` of each document is the ``$id`` of its schema. It is a tag URI, so validation needs no server.
"""
