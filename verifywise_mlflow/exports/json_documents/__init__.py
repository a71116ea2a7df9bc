"""The versioned JSON documents that commands print with ``--json``.

A document is a class that derives from ``document.JsonDocument``. Its fields, types and docstrings are the only
definition: the JSON Schema, the reference page and what is printed follow from them.

To add one:

1. Write the class in a module of this package, with ``NAME``, ``VERSION``, and a docstring for each field. Rows are
   value objects with ``__pydantic_config__ = DESCRIBED``, so that the docstrings of their fields are published, too.
2. Add it to ``catalog.DOCUMENTS``.
3. Run ``python -m verifywise_mlflow_tests.exports.documents_page``. It writes ``schemas/NAME.vN.json`` here, which is
   in the wheel, the copy under ``docs/reference/schemas``, and the page. A test compares them with the class.
4. Print it with ``cli.json_output.print_document``, and check a real output with ``check_document`` of
   ``verifywise_mlflow_tests.support.json_documents``.

A later release may add members to a version of a document. A change that could break a reader raises ``VERSION``. The
member ``schema`` of each document is the ``$id`` of its schema, a tag URI: no server is needed to validate it.
"""
