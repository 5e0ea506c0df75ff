"""How good is a model? Read it, score it, judge it. Pure: values in, values out; no store, no clock."""
