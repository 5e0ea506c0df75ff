"""Load, score and judge a model. Functions here take values and return values; they use no store and no clock."""
