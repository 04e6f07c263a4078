"""Change the weights so that it is gone."""
