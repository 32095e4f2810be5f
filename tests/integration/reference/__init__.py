"""Lightning's own classes, run as the specification."""
