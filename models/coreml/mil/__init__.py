"""ML Programs: Core ML's newer form of a network, a list of operations in Apple's Model Intermediate Language (MIL).

Constants (``values``, ``blob``, ``compressed``) and operations (``operation``, ``table`` and the modules it names)
become the same steps as the layers of a neural network (``program``), and run as those do: in float32, whatever
precision the program names, for one image's shapes and many images.

Meaning of operations: the documentation and reference values of coremltools' MIL operation sets (iOS 15 to 18); of the
weight file: the headers of coremltools' MILBlob.
"""
