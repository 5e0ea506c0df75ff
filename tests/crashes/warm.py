"""Imported once by the process that the nights are forked from: what a night would import late."""

from models.coreml.proto import model_pb2

model_pb2()
