"""Pages and figures made from records alone."""
