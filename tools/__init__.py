"""What works on the repository itself: the developer commands behind ./dev and the demo."""
