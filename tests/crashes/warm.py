"""Modules that a night imports late, imported once by the process from which nights are forked."""

from models.coreml.proto import model_pb2

model_pb2()
