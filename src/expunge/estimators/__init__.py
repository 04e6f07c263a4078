"""Estimators in the manner of scikit-learn that can forget rows; one file each, imported by name (they need the extra `models`)."""
