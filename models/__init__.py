"""The model families, one folder each, and ``coreml``, which runs a published ``.mlmodel`` on any machine.

Nothing here imports ``loop``; heavy frameworks are imported inside functions, so importing a family is cheap.
"""
