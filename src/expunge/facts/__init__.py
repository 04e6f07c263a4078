"""What is asked, measured and kept: plain facts, without torch."""
