"""Leave the weights alone and stop it at inference."""
